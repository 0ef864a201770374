"""The sinks topology: from the changes of an output to its partner.

::

    cdp.output.<id> ──> [sink-<id>] ──> partner
                          │   ▲ └─────> cdp.output.<id>.rejected
                          ▼   │
                    cdp.faults, cdp.sink-state (compacted, read as a whole)

One agent, and one consumer group, per output: each has its own rate, and stops and continues by
itself. The agent takes chunks, one partition's records of one fetch, and passes them to the sink,
which batches them for the connector, and commits what the partner has accepted.
"""

from collections.abc import Callable

from cdp_stream.kafka.faust_adapter.app import AssignedPartitions, ChunkApp
from cdp_stream.settings import Settings

__all__ = ["create_sink"]


def create_sink(
    settings: Settings,
    output: str,
    assign: Callable[[ChunkApp], AssignedPartitions],
    *,
    partitions: int,
) -> ChunkApp:
    """Make the Faust app of one output's sink.

    Args:
        settings: The worker's settings.
        output: The output's id.
        assign: Makes the assignment of its topic's partitions, given the app.
        partitions: How many partitions that topic has.
    """
    app = ChunkApp(settings, group=settings.sink_group_id(output))
    app.assignment = assign(app)
    topic = settings.topic(f"output.{output}")
    app.each_chunk(topic, name=f"sink-{output}", partitions=partitions)
    return app
