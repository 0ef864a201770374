"""The stories of this folder, told to the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdp_stream.offline.replay import replay_batches
from tests.scenarios.story import change_of, read_story, stories


@pytest.mark.parametrize("path", stories(), ids=lambda path: path.stem)
def test_the_engine_tells_the_story(path: Path) -> None:
    story = read_story(path)
    lines = [json.dumps(batch).encode() for batch in story.batches]
    changes = [
        change_of(change) for change in replay_batches(story.definitions, lines, story.until)
    ]
    assert changes == story.expected
