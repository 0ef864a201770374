"""All published documents, as text, by their file names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import yaml

from tests.docs.schemas.asyncapi import asyncapi_document
from tests.docs.schemas.batches import batch_schema
from tests.docs.schemas.criteria import Schema
from tests.docs.schemas.definitions import definitions_schema
from tests.docs.schemas.messages import (
    definitions_record_schema,
    fault_schema,
    membership_change_schema,
    output_message_schema,
    rejected_change_headers_schema,
    rejected_headers_schema,
)

SCHEMAS: Final[dict[str, Callable[[], Schema]]] = {
    "definitions": definitions_schema,
    "batch": batch_schema,
    "membership-change": membership_change_schema,
    "output-message": output_message_schema,
    "rejected-headers": rejected_headers_schema,
    "rejected-change-headers": rejected_change_headers_schema,
    "fault": fault_schema,
    "definitions-record": definitions_record_schema,
}
"""What makes each schema, by its name."""


def documents() -> dict[str, str]:
    """The text of every document by its file name."""
    found = {
        f"{name}.schema.json": json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        for name, make in SCHEMAS.items()
    }
    # Copied, so that what is in it twice is written twice, not as an alias.
    copied = json.loads(json.dumps(asyncapi_document()))
    found["asyncapi.yaml"] = yaml.safe_dump(copied, sort_keys=False, allow_unicode=True, width=100)
    return found
