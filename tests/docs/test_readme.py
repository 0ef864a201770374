"""The README can be followed: each block of commands runs as it stands, one after the other."""

import os
import re
import signal
import subprocess

import pytest

from cdp_stream.kafka.clients.probe import free_port
from tests.docs.console import ROOT, with_cdp

PAGE = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE, re.M | re.S)
INSTALLING = "make demo"  # on a fresh machine: what the first block does has tests of its own
BROKER = "cdp broker &\n"


def script_of(blocks, port):
    """One script of all blocks, that says where each begins; a reader waits for the broker."""
    listening = f"until (: <>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done\n"
    started = BROKER.replace("broker", f"broker --listen 127.0.0.1:{port}") + listening
    yield "set -eo pipefail\n"
    for number, block in enumerate(blocks):
        yield f"echo '<block {number}>'\n{block.replace(BROKER, started)}"


@pytest.mark.embedded
@pytest.mark.slow
def test_the_blocks_of_the_readme_run_one_after_the_other(tmp_path):
    (first, shown), *blocks = BLOCKS
    assert first.startswith(INSTALLING)
    assert shown == ""
    assert sum(BROKER in block for block, _ in blocks) == 1
    port = free_port()
    with subprocess.Popen(
        ["bash", "-c", "".join(script_of([block for block, _ in blocks], port))],
        cwd=tmp_path, env=with_cdp(tmp_path) | {"CDP_BROKER": f"127.0.0.1:{port}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as bash:  # fmt: skip
        try:
            printed, _ = bash.communicate(timeout=240)
        finally:
            if bash.poll() is None:
                os.killpg(bash.pid, signal.SIGTERM)  # not at once: the broker ends its own process
    assert bash.returncode == 0, printed
    outputs = re.split(r"^<block \d+>\n", printed, flags=re.M)[1:]
    assert len(outputs) == len(blocks)
    for (_, wanted), output in zip(blocks, outputs, strict=True):
        assert not wanted or output == wanted
    # What the reader is told to see.
    assert '"audience_id": "window-shoppers", "mpid": "101"' in printed
    assert '"action": "delete", "audience_id": "here-now", "mpid": "104"' in printed


def test_the_page_is_short():
    assert len(PAGE.splitlines()) <= 204


@pytest.mark.parametrize("word", ["mpid", "CDP"])
def test_words_of_the_trade_are_explained_before_the_first_command(word):
    beginning = PAGE[: PAGE.index("```")]
    assert re.search(rf"\({word}\)|`{word}` \(", beginning)
