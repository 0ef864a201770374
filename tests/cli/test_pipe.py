"""A reader that goes away ends a command quietly, as with `| head`."""

import subprocess
import sys


def test_a_reader_that_goes_away_is_no_failure() -> None:
    command = [sys.executable, "-m", "cdp_stream", "generate", "--events", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
