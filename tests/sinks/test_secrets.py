"""Settings filled in from the environment, and secrets taken out of what is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from cdp_stream.connectors.settings import HttpSettings
from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.core.secret_names import SecretNames, names_in
from cdp_stream.errors import UsageError
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.preparation import check_environment, prepare, selected
from tests.sinks.connectors import Post

ANY = SecretNames(("*",))


def test_variables_are_found_and_filled_in_however_deep() -> None:
    settings = {"key": "${KEY}", "list": ["Bearer ${TOKEN}", 3], "more": {"x": "${KEY}-${HOST}"}}
    assert list(names_in(settings)) == ["KEY", "TOKEN", "KEY", "HOST"]
    values = {"KEY": "k", "TOKEN": "t", "HOST": "${KEY}"}
    assert Secrets(values, ANY).filled(settings) == {
        "key": "k", "list": ["Bearer t", 3], "more": {"x": "k-${KEY}"},
    }  # fmt: skip


def test_all_that_are_not_set_are_named_at_once() -> None:
    outputs = [Output("one", "post", {"key": "${ONE}"}), Output("two", "post", {"key": "${TWO}"})]
    connections = [
        Connection("a@one", "a", "one", settings={"list": "${LIST}"}),
        Connection("b@one", "b", "one", active=False, settings={"list": "${IDLE}"}),
        Connection("a@other", "a", "other", settings={"list": "${OTHER}"}),
    ]
    with pytest.raises(UsageError) as raised:
        check_environment(outputs, connections, Secrets({"TWO": ""}, ANY))
    assert str(raised.value) == (
        "2 environment variables are not set: ONE (for output one), LIST (for connection a@one); "
        "set them in the worker's environment, then restart it"
    )
    assert raised.value.exit_code == 2
    secrets = Secrets({"ONE": "1", "TWO": "2", "LIST": "3"}, ANY)
    check_environment(outputs, connections, secrets)


def test_each_name_that_operators_do_not_allow_has_its_reason() -> None:
    outputs = [Output("one", "post", {"key": "${CDP_SASL_PASSWORD}", "url": "${CDP_SECRET_ONE}"})]
    connections = [Connection("a@one", "a", "one", settings={"list": "${HOME}"})]
    environment = {"CDP_SASL_PASSWORD": "kafka-password", "HOME": "/root"}
    with pytest.raises(UsageError) as raised:
        check_environment(outputs, connections, Secrets(environment))
    assert str(raised.value) == (
        "`CDP_SASL_PASSWORD` is the name of a setting, which definitions never get (for output one)"
        "; operators do not allow `HOME` (secret_names: CDP_SECRET_*) (for connection a@one); "
        "1 environment variable is not set: CDP_SECRET_ONE (for output one); "
        "set them in the worker's environment, then restart it"
    )
    with pytest.raises(UsageError, match="CDP_SASL_PASSWORD` is the name of a setting"):
        prepare(outputs[0], Secrets(environment, ANY), lambda _name: Post)


@pytest.mark.parametrize(
    ("connector", "settings", "is_inside"),
    [
        ("file", {"directory": "outputs/crm"}, True),
        ("file", {"directory": "outputs"}, True),
        ("file", {"directory": "outputs/../etc"}, False),
        ("file", {"directory": "outputs/linked/etc"}, False),
        ("file", {"directory": "/etc"}, False),
        ("sqlite", {"path": "outputs/members.db"}, True),
        ("sqlite", {"path": "members.db"}, False),
        ("kafka", {"broker": "b:1", "topic": "t", "tls": True, "tls_ca": "ca.pem"}, False),
        ("postgres", {"url": "postgresql://h/db?sslkey=outputs/key.pem"}, True),
        ("postgres", {"url": "postgresql://h/db?passfile=/etc/pgpass"}, False),
        ("postgres", {"url": "no url"}, False),
    ],
)
def test_files_lie_in_the_folder_that_operators_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connector: str,
    settings: dict[str, Any],
    is_inside: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs").mkdir()
    Path("outputs/linked").symlink_to(tmp_path)
    output = Output("out", connector, settings)
    prepare(output, Secrets({}))
    if is_inside:
        prepare(output, Secrets({}), outputs_dir=Path("outputs"))
    else:
        with pytest.raises(UsageError, match=r"is outside of outputs|the url of output out"):
            prepare(output, Secrets({}), outputs_dir=Path("outputs"))


class Strict(Post):
    """Checks a secret's form."""

    class output_settings(HttpSettings):  # noqa: N801 - as connectors name it
        url: str = Field(pattern="^https://")
        key: str = Field(max_length=3)


def test_settings_that_do_not_fit_are_reported_without_their_values() -> None:
    output = Output("out", "post", {"url": "${URL}", "key": "${KEY}", "surplus": 1})
    secrets = Secrets({"URL": "http-secret", "KEY": "key-secret"}, ANY)
    with pytest.raises(UsageError) as raised:
        prepare(output, secrets, lambda _name: Strict)
    said = str(raised.value)
    assert "url: " in said
    assert "key: " in said
    assert "surplus: " in said
    assert "secret" not in said


def test_an_unknown_connector_is_reported_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no connector `mail`; there are: kafka, webhook"):
        prepare(Output("out", "mail"), Secrets({}))


def test_a_connector_that_lacks_its_extra_says_which() -> None:
    class Lacking(Post):
        extra = "aws"

        def __init__(self, output: str, settings: object) -> None:
            raise ModuleNotFoundError("No module named 'botocore'", name="botocore")

    with pytest.raises(UsageError, match=r"needs botocore.*pip install 'cdp-stream\[aws\]'"):
        prepare(Output("out", "post", {"url": "x"}), Secrets({}), lambda _name: Lacking)


def test_only_outputs_that_are_defined_can_be_chosen() -> None:
    outputs = [Output("one", "post"), Output("two", "post")]
    assert selected(outputs, ["two"]) == [outputs[1]]
    assert selected(outputs, []) == outputs
    with pytest.raises(UsageError, match="no output `tow`; defined are: one, two"):
        selected(outputs, ["tow"])


def test_secrets_are_removed_in_every_form() -> None:
    redaction = Redaction(["s3cret/key=", "s3cret/key=long", "abc"])
    encoded = base64.b64encode(b"s3cret/key=").decode()
    said = redaction(f"s3cret/key=long s3cret/key= s3cret%2Fkey%3D {encoded} abc")
    assert said.count("***") == 4
    assert "s3cret" not in said
    assert said.endswith("abc"), "short ones are in too many words"


def test_a_secret_is_removed_without_the_line_end_that_its_variable_had() -> None:
    assert Redaction(["s3cret-key\n"])("bad key s3cret-key") == "bad key ***"


@pytest.mark.parametrize("secret", ['pa"ss', "zwei\nZeilen", "pa\\ss", "schl\u00fcssel", "a/b/c/d"])
def test_a_secret_is_removed_as_json_has_it(secret: str) -> None:
    redaction = Redaction([secret])
    redaction.add_passing(f"signature {secret}")
    for ascii_only in (True, False):
        said = json.dumps(
            {"sent": secret, "signed": f"signature {secret}"}, ensure_ascii=ascii_only
        )
        assert json.loads(redaction(said)) == {"sent": "***", "signed": "***"}
        assert json.loads(redaction(said.replace("/", "\\/"))) == {"sent": "***", "signed": "***"}


def test_the_texts_of_a_key_file_are_removed_in_every_form() -> None:
    key = {
        "type": "service_account",
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE/abc\n-----END PRIVATE KEY-----\n",
        "client_email": "sink@project.example",
        "universe_domain": "googleapis.com",
        "more": {"list": ["deep-inside", 12345678]},
        "short": "public",
    }
    redaction = Redaction([json.dumps(key)])
    said = redaction(json.dumps({"a": key["private_key"], "b": [key["client_email"]],
                                 "c": "deep-inside"}))  # fmt: skip
    assert json.loads(said) == {"a": "***", "b": ["***"], "c": "***"}
    assert redaction(key["private_key"]).strip() == "***"
    # What is no secret in it may be read, the partner's address above all.
    words = "https://bigquery.googleapis.com: public, a service_account, 12345678"
    assert redaction(words) == words


def test_the_beginning_of_a_secret_is_removed_where_the_text_was_cut() -> None:
    secret = "s3cret-k\u00e9y"
    redaction = Redaction([secret, "s3"])
    for size in range(len(secret) + 1):
        said = redaction(f"bad key {secret[:size]}", True)
        assert said == ("bad key ***" if size == len(secret) else "bad key ")
    assert redaction("bad key s3cret-k\ufffd", True) == "bad key "
    assert redaction("these keys") == "these keys", "nothing was cut"


def test_the_secret_of_one_request_is_removed_for_a_while() -> None:
    redaction = Redaction()
    redaction.add_passing("signature")
    assert redaction("bad signature") == "bad ***"
    for number in range(400):
        redaction.add_passing(f"other-{number}")
    assert redaction("bad signature") == "bad signature"
