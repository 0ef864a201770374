"""What Quix Streams takes to count per key: the yardstick of the worker's CPU budget, on the same
broker in one sitting.

It does far less than a worker (a count per key, a forwarded record for every 20th event), so that
staying below it means something. It is no dependency of the project: install it in an environment
of its own, see README.md.

    python quix_count.py HOST:PORT TOPIC PARTITIONS EVENTS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid

from quixstreams import Application, State

_EVERY = 20


def main(broker: str, topic: str, partitions: int, events: int) -> None:
    """Count the events of a topic that was filled before, and print CPU microseconds per event."""
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=broker,
            consumer_group=f"quix-{uuid.uuid4().hex[:8]}",
            auto_offset_reset="earliest",
            state_dir=folder,
            loglevel="ERROR",
        )
        source = app.topic(topic, value_deserializer="json")
        target = app.topic(f"{topic}.quix-counts", value_serializer="json")
        seen = 0
        started: list[float] = []

        def count(_value: dict[str, object], state: State) -> dict[str, int]:
            nonlocal seen
            seen += 1
            if seen == events // 5:
                started.extend((time.process_time(), time.perf_counter()))
            if seen == events:
                app.stop()
            number = state.get("count", 0) + 1
            state.set("count", number)
            return {"count": number}

        stream = app.dataframe(source).apply(count, stateful=True)
        stream.filter(lambda value: value["count"] % _EVERY == 0).to_topic(target)
        # Not run(count=events): that counts what comes out behind the filter, and keeps it all.
        app.run()
        measured = events - events // 5
        cpu = (time.process_time() - started[0]) / measured * 1e6
        rate = measured / (time.perf_counter() - started[1])
        print(
            json.dumps(
                {"cpu_us_per_event": cpu, "events_per_second": rate, "partitions": partitions}
            )
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
