"""What commands make where nothing has run yet, and what they leave undone."""

import asyncio
import json
from pathlib import Path

import pytest

from cdp_stream.cli.main import main
from cdp_stream.kafka.clients.admin import partition_counts, started_admin
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.observability.log import set_up_logging
from cdp_stream.settings import Settings
from tests.offline.streams import DEFINITIONS, batch


async def topics(settings: Settings) -> dict[str, int]:
    """The topics of a prefix, with their partitions."""
    admin = await started_admin(settings)
    try:
        found = await partition_counts(admin)
    finally:
        await admin.close()
    return {name: count for name, count in found.items() if name.startswith(settings.prefix)}


@pytest.mark.embedded
def test_produce_makes_topics_of_a_new_prefix_only_with_the_flag(
    embedded_broker: str, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (events := tmp_path / "one.ndjson").write_bytes(batch(0))
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    produce = ["produce", "--events", str(events), "--broker", embedded_broker]
    produce += ["--prefix", topic_prefix]
    assert main(produce) == 2
    told = capsys.readouterr().err
    assert f"there is no topic {topic_prefix}.events" in told
    assert "--create" in told
    assert asyncio.run(topics(settings)) == {}
    set_up_logging("info", "json")
    assert main([*produce, "--create"]) == 0
    out, told = capsys.readouterr()
    assert out.startswith(f"published 1 batch to {topic_prefix}.events")
    made = asyncio.run(topics(settings))
    assert made[f"{topic_prefix}.events"] == 4
    # The facts say of each what it was made with.
    facts = [json.loads(line) for line in told.splitlines() if '"topics_created"' in line]
    assert {name: n for fact in facts for name, n in fact["partitions"].items()} == made
    assert {fact["replication"] for fact in facts} == {1}
    assert [name for fact in facts for name in fact["compacted"]] == [
        f"{topic_prefix}.membership-state", f"{topic_prefix}.profiles-changelog",
    ]  # fmt: skip
    assert main(produce) == 0


def test_a_worker_leaves_nothing_on_disk_before_a_broker_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(DEFINITIONS)
    broker = f"127.0.0.1:{free_port()}"
    assert main(["worker", "--definitions", "a.yaml", "--broker", broker]) == 3
    assert broker in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]
