"""The stories of this folder, told to the recount: both read the specification alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.properties.recount import recount
from tests.scenarios.story import change_of, parse, read_story, stories


@pytest.mark.parametrize("path", stories(), ids=lambda path: path.stem)
def test_the_recount_tells_the_story(path: Path) -> None:
    story = read_story(path)
    changes = [
        change_of(change)
        for change in recount(parse(story.definitions), story.batches, story.until)
    ]
    assert changes == story.expected
