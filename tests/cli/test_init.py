"""`cdp init` writes a folder in which everything works as it stands, and overwrites nothing."""

import json
import re
import subprocess
import sys
import zipfile

import pytest

from cdp_stream.cli.init import write_folder
from cdp_stream.cli.main import main
from tests.docs.console import ROOT, shell

NOW = 1_767_225_690_123  # 2026-01-01T00:01:30.123Z
FILES = ["README.md", "definitions.yaml", "events.ndjson", "tests/shop.yaml"]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "shop"
    assert [str(path.relative_to(made)) for path in write_folder(made, NOW)] == FILES
    return made


def commands_of(folder):
    return re.findall(r"^```sh\n(.*?)\n```$", (folder / "README.md").read_text(), re.M | re.S)


def test_each_of_the_five_commands_runs_as_it_is_written(folder, tmp_path):
    commands = commands_of(folder)
    assert len(commands) == 5
    checked, tested, replayed, members, explained = (
        shell(command, folder, tmp_path) for command in commands
    )
    assert checked == "ok: 3 audiences, 1 journey with 3 milestones, 1 workspace\n"
    assert tested.endswith("\n3 passed, 0 failed\n")
    changes = [json.loads(line) for line in replayed.splitlines()]
    assert [
        (change["action"], change["audience_id"], change["mpid"], change["cause"]["kind"])
        for change in changes
    ] == [
        ("add", "lapsing", "101", "time"),
        ("add", "window-shoppers", "102", "event"),
        ("delete", "window-shoppers", "102", "event"),
        ("add", "window-shoppers", "101", "event"),
    ]
    assert members == "101\n"
    assert explained.startswith("lapsing, profile 101, at 2026-01-01T00:01Z: a member, until")


def test_the_definitions_have_no_warning_either(folder, capsys):
    assert main(["check", str(folder / "definitions.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"problems": []}


def test_the_events_end_in_the_minute_in_which_the_folder_is_made(folder):
    lines = (folder / "events.ndjson").read_text().splitlines()
    times = [json.loads(line)["timestamp_unixtime_ms"] for line in lines]
    assert times == sorted(times)
    assert times[-1] == 1_767_225_660_000
    assert times[0] == times[-1] - 20 * 86_400_000


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_the_way_is_not_overwritten(name, tmp_path, capsys):
    (tmp_path / "tests").mkdir()
    (tmp_path / name).write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"cdp: {tmp_path / name} would be overwritten; name another folder: cdp init DIR\n"
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["mine"]


def test_a_file_where_a_folder_has_to_be_is_in_the_way(tmp_path, capsys):
    (tmp_path / "tests").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert f"{tmp_path / 'tests'} would be overwritten" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "tests"]


def test_a_folder_that_cannot_be_written_is_named(capsys):
    assert main(["init", "/proc/shop"]) == 3
    assert capsys.readouterr().err == (
        "cdp: /proc/shop cannot be written: No such file or directory; "
        "name a folder that you may write to: cdp init DIR\n"
    )


def test_other_files_are_not_in_the_way_and_the_folder_here_is_meant(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert (tmp_path / "tests/shop.yaml").exists()


def test_the_templates_are_in_the_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"cdp_stream/cli/starter/{name}" for name in FILES} <= set(names)
