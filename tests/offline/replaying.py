"""The replay of a few batches: what `cdp replay` prints, as decoded messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.errors import InputError
from cdp_stream.offline.replay import Replay
from cdp_stream.offline.spill import SpillingSorter


def replay_batches(
    definitions_text: str,
    lines: Iterable[bytes],
    until: int | None = None,
    input_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The membership changes of a small stream as decoded messages, in the order in which `cdp
    replay` prints them.

    Raises:
        InputError: the definitions have problems; all are in the message.
    """
    loaded = load_text(definitions_text)
    if loaded.account is None:
        raise InputError("; ".join(str(problem) for problem in loaded.problems))
    with SpillingSorter() as sorter:
        Replay(build_plan(loaded.account), until=until, input_id=input_id).run(lines, sorter)
        for record in sorter:
            yield orjson.loads(record.value)
