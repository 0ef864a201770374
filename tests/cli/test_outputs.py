"""Which outputs `cdp outputs` knows while no worker runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdp_stream.cli.main import cli
from cdp_stream.kafka.topics import ensure_topics, partition_counts, started_admin
from cdp_stream.settings import Settings

pytestmark = pytest.mark.embedded

DEFINITIONS = """
version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: a, criteria: {event: Visit}}
outputs:
  - {id: seen, connector: log}
"""
MORE = "  - {id: kept, connector: file, settings: {directory: kept}}\n"


async def topics_of(settings: Settings) -> list[str]:
    admin = await started_admin(settings)
    try:
        return [name for name in await partition_counts(admin) if name.startswith(settings.prefix)]
    finally:
        await admin.close()


def test_they_are_those_that_were_applied_and_not_removed(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "definitions.yaml"

    def cdp(*words: str) -> Result:
        flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
        result = CliRunner().invoke(cli, [*words, *flags], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    def listed() -> dict[str, str]:
        lines = cdp("outputs", "list", "--json").stdout.splitlines()
        return {row["id"]: row["connector"] for row in map(json.loads, lines)}

    file.write_text(DEFINITIONS + MORE)
    cdp("apply", str(file), "--yes")
    assert listed() == {"kept": "file", "seen": "log"}
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    asyncio.run(ensure_topics(settings, ["kept", "seen"], sinks=True))
    file.write_text(DEFINITIONS)
    cdp("apply", str(file), "--yes")
    assert listed() == {"seen": "log"}
    elsewhere = ("--broker", embedded_broker, "--prefix", f"{topic_prefix}-not")
    for words in (("list",), ("pause", "seen"), ("show", "seen")):
        refused = CliRunner().invoke(cli, ["outputs", *words, *elsewhere])
        assert str(refused.exception).startswith(
            f"there is no system with the prefix `{topic_prefix}-not` on {embedded_broker}; "
        )
    assert not asyncio.run(
        topics_of(Settings(broker=embedded_broker, prefix=f"{topic_prefix}-not"))
    )
    cdp("outputs", "pause", "kept")
    assert set(listed()) == {"kept", "seen"}, "what stands still is never hidden"
