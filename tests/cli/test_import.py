"""`cdp import`: exit codes, and wrong files."""

from pathlib import Path

import pytest

from cdp_stream.cli.main import main

FILES = Path(__file__).parents[1] / "imports" / "audience_sdk"


@pytest.fixture(autouse=True)
def _beside_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES)


def imported(*arguments: str) -> int:
    return main(["import", "audience-sdk", *arguments])


def test_every_problem_of_a_wrong_file_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("wrong.json") == 1
    out, err = capsys.readouterr()
    assert out == ""
    *problems, last = err.splitlines()
    assert [line.split("[")[-1].rstrip("]") for line in problems] == [
        "bad-version",
        "unknown-key",
        "bad-value",
        "missing-key",
        "missing-key",
        "wrong-type",
        "bad-value",
        "wrong-type",
        "bad-value",
        "empty-list",
        "wrong-type",
        "missing-key",
        "unknown-key",
    ]
    assert problems[2] == (
        "wrong.json:7:17: audience.expressions[0].operator: `equal` is not a valid operator; "
        "did you mean "
        "`equals`? [bad-value]"
    )
    assert (
        last == "cdp: the file is not a definition of the audience-sdk; correct the listed problems"
    )


def test_nothing_that_can_be_expressed_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("nothing.json") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "left out: audience: cannot be expressed: a comparison of two fields",
        "cdp: nothing of nothing.json can be expressed; write the audience by hand; see "
        "docs/importing.md",
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "empty-file"),
        ("[]", "wrong-type"),
        ("{", "bad-yaml"),
        ("{}", "missing-key"),
        ('{"schema_version": 1.0, "audience": {}}', "wrong-type"),
        ('{"schema_version": "1.0.0", "audience": null}', "wrong-type"),
        ('{"schema_version": "1.0.0.0", "audience": {}}', "bad-version"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    content: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    assert imported(str(file)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"[{code}]" in err


def test_a_file_that_is_not_there_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("none.json") == 1
    assert "none.json:1:1: document: the file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "orders"], "--model orders: this names no subject; write NAME=SUBJECT"),
        (["--model", "o=order"], "--model o=order: this names no subject"),
        (
            ["--model", "o=commerce:buy"],
            "--model o=commerce:buy: `buy` is not a valid commerce; one of",
        ),
        (
            ["--model", "o=session"],
            "--model o=session: `` is not a valid session; one of start, end",
        ),
        (["--id", "No Id"], "--id No Id: an id has 1 to 64 of"),
        (["--audience", "4711"], "--audience : an id has 1 to 64 of"),
        (["--audience", "4711=VIPs"], "--audience VIPs: an id has 1 to 64 of"),
    ],
)
def test_a_flag_that_means_nothing_is_a_usage_error(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported("one-attribute.json", *flags) == 2
    assert message in capsys.readouterr().err
