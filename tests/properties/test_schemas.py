"""The published schemas refuse no definition, no batch and no message of the engine."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, note
from jsonschema import Draft7Validator

from cdp_stream.definitions import load_text
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.membership import members_of_change
from tests.docs.schemas.batches import batch_schema
from tests.docs.schemas.definitions import definitions_schema
from tests.docs.schemas.messages import membership_change_schema
from tests.properties.erasures import run
from tests.properties.strategies import UNHURRIED, Json, cases

DEFINITIONS = Draft7Validator(definitions_schema())
BATCH = Draft7Validator(batch_schema())
CHANGE = Draft7Validator(membership_change_schema())


def complaints(schema: Draft7Validator, instance: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(instance)]


@pytest.mark.timeout(900)
@UNHURRIED
@given(case=cases())
def test_what_is_taken_and_what_is_emitted_is_valid(
    case: tuple[Json, list[Json], int | None],
) -> None:
    definitions, stream, until = case
    text = json.dumps(definitions, ensure_ascii=False)
    note(text)
    account = load_text(text).account
    assert account is not None
    assert complaints(DEFINITIONS, definitions) == []
    decoder = BatchDecoder(
        {one.id: one for workspace in account.workspaces for one in workspace.inputs}
    )
    for batch in stream:
        line = json.dumps(batch, ensure_ascii=False).encode()
        if decoder.decode_line(line)[1] == ():
            assert complaints(BATCH, batch) == []
    for change in run(text, stream, until, []):
        assert complaints(CHANGE, members_of_change(change, account.id)) == []
