"""What several commands share: instants, standard output in the place of a file, completion."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cdp_stream.cli.main import VERBS, main
from cdp_stream.errors import counted
from tests.offline.streams import DEFINITIONS, batch

REPLAY = ["replay", "--definitions", "a.yaml", "--events", "buys.ndjson"]
TESTS = """version: 1
definitions: a.yaml
tests:
  - name: nobody
    steps: [{at: 1000, members: {buyers: []}}]
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(DEFINITIONS)
    Path("tests.yaml").write_text(TESTS)
    arrival = time.time_ns() // 1_000_000 - 5_000
    line = json.loads(batch(0)) | {"timestamp_unixtime_ms": arrival}
    Path("buys.ndjson").write_text(json.dumps(line))


def test_now_is_an_instant(capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["--definitions", "a.yaml", "--events", "buys.ndjson", "--at", "now"]
    assert main(["members", "trial/rest", *shared]) == 0
    assert capsys.readouterr().out == "7\n"
    assert main([*REPLAY, "--until", "now"]) == 0
    # Five seconds ago one bought, who leaves 10 ms later.
    actions = [json.loads(line)["action"] for line in capsys.readouterr().out.splitlines()]
    assert actions == ["add", "add", "delete"]


@pytest.mark.parametrize(
    "words",
    [[*REPLAY, "--out"], ["generate", "--events", "3", "--out"], ["demo", "--export"]],
    ids=lambda words: words[0],
)
def test_a_dash_is_standard_output(
    words: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main([*words, "-"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines
    assert all(json.loads(line) for line in lines)
    assert not Path("-").exists()


def test_rejected_lines_go_to_standard_output_where_the_changes_do_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("buys.ndjson").write_text("no\n")
    assert main([*REPLAY, "--rejected", "-"]) == 2
    assert "standard output has the changes already" in capfd.readouterr().err
    assert main([*REPLAY, "--rejected", "-", "--out", "changes"]) == 0
    assert json.loads(capfd.readouterr().out)["reason"] == "not_json"


def test_junit_goes_to_standard_output_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "tests.yaml", "--junit", "-"]) == 0
    out, _ = capfd.readouterr()
    assert out.startswith("<?xml")
    assert "1 passed" not in out
    assert main(["test", "tests.yaml", "--junit", "-", "--json"]) == 2


def test_a_shell_completes_commands_and_flags() -> None:
    def shown(mode: str, words: str = "", place: int = 0) -> str:
        variables = {"_CDP_COMPLETE": mode, "COMP_WORDS": words, "COMP_CWORD": str(place)}
        command = [sys.executable, "-c", "from cdp_stream.cli.main import main; main()"]
        environment = os.environ | variables
        run = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return run.stdout

    assert "_CDP_COMPLETE=zsh_complete" in shown("zsh_source")
    found = shown("bash_complete", "cdp re", 1).splitlines()
    assert found == [f"plain,{verb}" for verb in VERBS if verb.startswith("re")]
    assert shown("bash_complete", "cdp test --j", 2).splitlines() == [
        "plain,--json",
        "plain,--junit",
    ]


def test_one_is_no_plural() -> None:
    assert [counted(1, "audience"), counted(0, "audience")] == ["1 audience", "0 audiences"]
    assert [counted(1, "batch"), counted(1_200, "batch")] == ["1 batch", "1,200 batches"]
