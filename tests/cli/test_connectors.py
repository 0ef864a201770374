"""`cdp connectors`: everything that can be set is shown; a scaffold passes the suite as it is."""

import json
import os
import subprocess
import sys

import pytest

from cdp_stream.cli.main import main
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.connectors.settings import secret_fields
from tests.docs.console import ROOT


def shown(capsys, *arguments):
    assert main(["connectors", *arguments]) == 0
    return capsys.readouterr().out


def test_every_connector_and_every_setting_is_shown(capsys):
    text = shown(capsys)
    blocks = dict(block.split(": ", 1) for block in text.split("\n\n"))
    assert list(blocks) == list(CONNECTORS)
    for name, block in blocks.items():
        connector = connector_class(name)
        assert block.startswith(connector.summary)
        for secret in secret_fields(connector.output_settings):
            assert f"  {secret} (text, secret" in block


def test_one_object_a_line(capsys):
    found = [json.loads(line) for line in shown(capsys, "--json").splitlines()]
    assert [one["name"] for one in found] == list(CONNECTORS)
    webhook = next(one for one in found if one["name"] == "webhook")
    settings = {one.pop("name"): one for one in webhook.pop("settings")}
    assert webhook == {
        "name": "webhook",
        "title": "Webhook",
        "summary": "POSTs changes to a URL of yours, signed according to Standard Webhooks.",
        "pattern": "stream",
        "identities": None,
        "user_attributes": True,
        "batching": {
            "count": 100,
            "bytes": 4_000_000,
            "interval_ms": 1_000,
            "per_connection": False,
        },
        "rate": None,
        "max_connections": 50,
        "on_audience_delete": "pass",
        "extra": None,
        "connection_settings": [],
    }
    assert settings["batch"] == {
        "type": "whole number",
        "required": False,
        "secret": False,
        "default": "100",
        "description": "Maximum number of changes in one POST.",
    }
    assert [name for name, one in settings.items() if one["secret"]] == ["secret"]
    assert [name for name, one in settings.items() if one["required"]] == ["url", "secret"]
    assert "api_url" not in settings


def test_some_of_them(capsys):
    text = shown(capsys, "--connector", "log", "--connector", "file")
    assert [line for line in text.splitlines() if line and line[0] != " "] == [
        "log: Writes a line for each change to the worker's log.",
        "file: Writes changes to NDJSON or CSV files, which appear when they are complete.",
    ]


def test_a_near_miss_is_suggested(capsys):
    assert main(["connectors", "--connector", "webhok"]) == 2
    assert "did you mean `webhook`?" in capsys.readouterr().err


def test_they_are_shown_without_the_libraries_of_extras():
    code = """
import sys
for name in ("botocore", "google", "google.auth", "cryptography", "psycopg"):
    sys.modules[name] = None
from cdp_stream.cli.main import main
sys.exit(main(["connectors", "--json"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(CONNECTORS)


def test_what_is_missing_is_named_with_its_extra():
    code = """
import sys
sys.modules["psycopg"] = None
from cdp_stream.connectors.partners.postgres import Postgres, PostgresSettings
from cdp_stream.errors import UsageError
try:
    Postgres("crm", PostgresSettings(url="postgresql://x"))
except UsageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == (
        "output crm (connector postgres) needs psycopg, which is not installed; "
        "run `pip install 'cdp-stream[postgres]'`\n"
    )


def test_a_scaffold_passes_the_suite_and_the_linter_as_it_is(tmp_path, capsys):
    out = shown(capsys, "new", "acme-mail", "--directory", str(tmp_path))
    files = [tmp_path / "acme_mail.py", tmp_path / "test_acme_mail.py"]
    assert [f"wrote {file}" for file in files] == out.splitlines()[:2]
    assert '"acme-mail": "acme_mail:AcmeMail",' in out
    python = [sys.executable, "-m"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "HYPOTHESIS_PROFILE": "dev"}
    for command in (
        ["pytest", "-q", "-p", "no:cacheprovider", "-c", f"{ROOT}/pyproject.toml",
         f"--rootdir={tmp_path}", "-p", "tests.conftest", "-p", "tests.connectors.conftest",
         str(files[1])],
        ["ruff", "check", "--no-cache", "--config", f"{ROOT}/pyproject.toml", "--ignore",
         "ANN,D,PLR2004,INP,I", *map(str, files)],
        ["ruff", "format", "--no-cache", "--config", f"{ROOT}/pyproject.toml", "--check",
         *map(str, files)],
    ):  # fmt: skip
        done = subprocess.run(
            python + command, cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_checkout_the_files_go_to_their_places(tmp_path, capsys):
    (tmp_path / "cdp_stream/connectors").mkdir(parents=True)
    (tmp_path / "cdp_stream/connectors/registry.py").touch()
    out = shown(capsys, "new", "acme", "--directory", str(tmp_path))
    assert (tmp_path / "cdp_stream/connectors/partners/acme.py").exists()
    test = (tmp_path / "tests/connectors/test_acme.py").read_text()
    assert "from cdp_stream.connectors.partners.acme import Acme\n" in test
    assert "next: move" not in out


def test_no_file_is_overwritten(tmp_path, capsys):
    (tmp_path / "test_acme.py").write_text("mine")
    assert main(["connectors", "new", "acme", "--directory", str(tmp_path)]) == 2
    assert "test_acme.py would be overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["test_acme.py"]
    assert (tmp_path / "test_acme.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("webhook", "there is a connector `webhook` already"),
        ("Acme", "cannot be a connector's name"),
        ("../acme", "cannot be a connector's name"),
        ("acme--mail", "cannot be a connector's name"),
        ("a" * 41, "cannot be a connector's name"),
    ],
)
def test_names_that_are_refused(tmp_path, capsys, name, words):
    assert main(["connectors", "new", name, "--directory", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    code = main(["connectors", "new", "acme", "--directory", str(tmp_path / "file" / "x")])
    assert code == 3
    assert "cannot be written" in capsys.readouterr().err
