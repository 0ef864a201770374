"""The first files of a new connector: a connector that works, and its test.

Source: docs/connectors/writing.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdp_stream.connectors.registry import CONNECTORS
from cdp_stream.errors import DiskError, UsageError

__all__ = ["class_name", "scaffold"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST: Final = 40

_CONNECTOR: Final = '''"""{title}: say in a sentence what membership becomes there.

Source: the pages of {title}'s documentation that say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
from pydantic import Field

from cdp_stream.connectors.change import DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import Delivery, Fault, Outcome, Request, Token
from cdp_stream.connectors.members.members import last_of_each, split
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr

__all__ = ["{class_name}", "{class_name}Connection", "{class_name}Settings"]

_URL: Final = "https://api.{name}.example"
_MOST: Final = 500
_NO_LIST: Final = 404


class {class_name}Settings(HttpSettings):
    """An account there."""

    api_key: SecretStr = Field(description="The key, as the account's settings show it.")


class {class_name}Connection(ConnectionSettings):
    """A list there."""

    list_id: str = Field(description="The list's id.")


class {class_name}(HttpConnector[{class_name}Settings, {class_name}Connection]):
    """Adds emails to a list and removes them."""

    name = "{name}"
    title = "{title}"
    summary = "Keeps a list of emails equal to the audience."
    output_settings = {class_name}Settings
    connection_settings = {class_name}Connection
    identities = frozenset({{"email"}})
    batching = Batching(count=_MOST)

    def list_of(self, settings: {class_name}Connection) -> str | None:
        """The list that the connection names."""
        return settings.list_id

    def deliver(self, changes: Sequence[OutputChange[{class_name}Connection]]) -> Delivery:
        """One request for each 500 emails."""
        rejected: dict[int, str] = {{}}
        for members in split(last_of_each(changes), _MOST):
            list_id = members[0].change.list_id
            body = {{
                "add": [one.identity for one in members if one.change.action != DELETE],
                "remove": [one.identity for one in members if one.change.action == DELETE],
            }}
            answer = yield Request(
                "POST",
                f"{{self.settings.api_url or _URL}}/lists/{{list_id}}/members",
                orjson.dumps(body),
                {{"content-type": "application/json"}},
            )
            if answer.status == _NO_LIST:
                raise Fault(
                    "connection",
                    f"{title} has no list {{list_id}}: {{answer.words()}}; correct the list_id",
                )
            if not answer.ok:
                rejected |= dict.fromkeys((one.place for one in members), answer.words())
        return Outcome(rejected)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """With the key."""
        return request.with_headers(
            authorization=f"Bearer {{self.settings.api_key.get_secret_value()}}"
        )
'''

_TEST: Final = '''"""{title}: its requests, its answers, and a server that keeps its rules."""

import json

from {module} import {class_name}
from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.exchange import Answer
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.partner import Partner, demand

KEY = "key-of-the-tests"
URL = "https://api.{name}.example/lists/7/members"
ANN = {{"email": "ann@example.com"}}


class Server(Partner):
    """Holds one list, and keeps the rules of {title}'s documentation."""

    def __init__(self):
        super().__init__()
        self.held = set()

    def authorize(self, request):
        demand(request.headers.get("authorization") == f"Bearer {{KEY}}", 401, {{"error": "key"}})

    def handle(self, request):
        demand(request.path == "/lists/7/members", 404, {{"error": "no such list"}})
        body = request.json()
        demand(len(body["add"]) + len(body["remove"]) <= 500, 413, {{"error": "too many"}})
        self.held |= set(body["add"])
        self.held -= set(body["remove"])
        return Answer(204)

    def members(self, list_id):
        return self.held


def told(add, remove):
    headers = {{"authorization": f"Bearer {{KEY}}", "content-type": "application/json"}}
    return Expected("POST", URL, {{"add": add, "remove": remove}}, headers)


TestConforms = conformance(
    Case(
        {class_name},
        settings={{"api_key": KEY}},
        connection={{"list_id": "7"}},
        list_id="7",
        partner=Server,
        kept_as=lambda identity_type, value: value,
        goldens=[
            Golden("add", [change(ADD, identities=ANN)], [told(["ann@example.com"], [])]),
            Golden("delete", [change(DELETE, identities=ANN)], [told([], ["ann@example.com"])]),
        ],
        answers=[
            Answered("bad-email", Answer(400, b"no email"), "rejected", words="no email"),
            Answered("no-list", Answer(404), "connection", words="correct the list_id"),
        ],
        most_rows=500,
        rows_in=lambda request: sum(map(len, json.loads(request.body).values())),
    )
)
'''


def class_name(name: str) -> str:
    """`acme-mail` -> `AcmeMail`."""
    return "".join(word.capitalize() for word in name.split("-"))


def scaffold(name: str, directory: Path) -> list[Path]:
    """Write the two files: in a checkout of cdp-stream to their places, elsewhere side by side.

    Returns:
        What was written.

    Raises:
        UsageError: the name cannot be one, or is taken, or a file is there; nothing is written.
        DiskError: the files cannot be written.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"`{name}` cannot be a connector's name",
            f"write small letters, digits and single dashes, a letter first, at most {_LONGEST}",
        )
    if name in CONNECTORS:
        raise UsageError(f"there is a connector `{name}` already", "choose another name")
    files = dict(_files(name, directory))
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise UsageError(
            f"{' and '.join(taken)} would be overwritten", "move it away, or choose another name"
        )
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            "name a directory that you may write to with --directory",
        ) from error
    return list(files)


def _files(name: str, directory: Path) -> Iterator[tuple[Path, str]]:
    file_name = name.replace("-", "_")
    own = directory / "cdp_stream" / "connectors"
    is_checkout = (own / "registry.py").exists()
    module = f"cdp_stream.connectors.{file_name}" if is_checkout else file_name
    words = {
        "name": name,
        "title": name.replace("-", " ").title(),
        "class_name": class_name(name),
        "module": module,
    }
    tests = directory / "tests" / "connectors" if is_checkout else directory
    connector = _CONNECTOR.format(**words)
    yield (own if is_checkout else directory) / f"{file_name}.py", connector
    yield tests / f"test_{file_name}.py", _TEST.format(**words)
