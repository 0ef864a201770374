"""What is shown of an answer."""

from __future__ import annotations

import json

import pytest

from cdp_stream.connectors.exchange import Answer
from cdp_stream.sinks.environment import Redaction

SECRET = 'hidden "key" of ours'


@pytest.mark.parametrize("padding", [".", " "])
@pytest.mark.parametrize(
    "written", [SECRET, json.dumps(SECRET)[1:-1], "hidden%20%22key%22%20of%20ours"]
)
def test_words_never_show_the_beginning_of_a_secret_at_the_cut(padding: str, written: str) -> None:
    for cut in (300, 16 * 1024):
        for before in range(cut - len(written) - 5, cut + 2):
            body = (padding * before + written + "." * 400).encode()
            words = Answer(400, body, redact=Redaction([SECRET])).words()
            assert words.strip(" .*") == "400"
            assert len(words) <= 304


def test_words_are_one_line() -> None:
    assert Answer(400, b" not\r\n  so ").words() == "400 not so"
    assert Answer(204).words() == "204"
