"""`cdp check`: what is printed and which code it exits with."""

import json
from pathlib import Path

import pytest

from cdp_stream.cli.main import main

GOOD = """version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: buyers, criteria: {commerce: purchase}}
journeys:
  - id: trial
    milestones:
      - {id: start, criteria: {event: Sign Up}}
      - {id: rest, remaining: true}
"""
CONNECTED = """outputs:
  - {id: seen, connector: log}
connections:
  - {audience: buyers, output: seen}
"""
BAD = GOOD.replace("commerce: purchase", "user_attribute: status, contain: x").replace(
    "event: Sign Up", "event: Sign Up, count: {at_least: 0}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_good_definitions_exit_0_and_say_what_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.yaml").write_text(GOOD + CONNECTED)
    assert main(["check", "good.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == "ok: 1 audience, 1 journey with 2 milestones, 1 workspace\n"
    assert err == ""


def test_bad_definitions_exit_1_with_a_line_for_each_problem(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "bad.yaml"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "bad.yaml:6:53: audiences[0].criteria.contain: unknown operator `contain`;"
        " did you mean `contains`? [bad-operator]",
        "bad.yaml:10:66: journeys[0].milestones[0].criteria.count.at_least: this always holds;"
        " `at_least: 1` holds from the first event on [bad-count]",
        "2 problems in 1 file",
    ]
    assert err == ""


def test_json_is_one_object_with_every_field(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", "bad.yaml"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["problems"]
    assert len(found["problems"]) == 2
    assert found["problems"][0] == {
        "severity": "error",
        "code": "bad-operator",
        "file": "bad.yaml",
        "line": 6,
        "column": 53,
        "path": "audiences[0].criteria.contain",
        "message": "unknown operator `contain`",
        "suggestion": "did you mean `contains`?",
        "related": [],
    }


def test_json_of_good_definitions_has_no_problems(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.yaml").write_text(GOOD + CONNECTED)
    assert main(["check", "good.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"problems": []}


def test_a_folder_means_its_yaml_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "."]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in out[:-1]] == ["bad.yaml"] * 2 + ["good.yaml"] * 4
    assert out[-1] == "6 problems in 2 files"


def test_a_missing_file_is_a_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nothing.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "nothing.yaml:1:1: document: the file cannot be read: No such file or directory;"
        " check the name and its permissions [unreadable-file]",
        "1 problem in 1 file",
    ]


def test_no_file_at_all_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "FILE" in capsys.readouterr().err


def test_variables_are_those_that_operators_allow_where_it_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = '{id: crm, connector: webhook, settings: {url: "https://x.org", secret: "${CRM_KEY}"}}'
    connected = CONNECTED.replace("{id: seen, connector: log}", hook).replace("seen", "crm")
    (folder / "hook.yaml").write_text(GOOD + connected)
    assert main(["check", "hook.yaml"]) == 1
    assert "name it `${CDP_SECRET_CRM_KEY}`" in capsys.readouterr().out
    # It is the one setting that counts here, so that others may be whatever they are.
    (folder / "cdp.toml").write_text('secret_names = ["CRM_*"]\nbroker = 3\n')
    assert main(["check", "hook.yaml"]) == 0
    monkeypatch.setenv("CDP_SECRET_NAMES", "OTHER")
    assert main(["check", "hook.yaml"]) == 1
    for name in ("CDP_SASL_PASSWORD", "CDP_SECRET_NAMES"):
        monkeypatch.setenv("CDP_SECRET_NAMES", "*")
        (folder / "hook.yaml").write_text(GOOD + connected.replace("CRM_KEY", name))
        assert main(["check", "hook.yaml"]) == 1
        assert f"`{name}` is the name of a setting" in capsys.readouterr().out
