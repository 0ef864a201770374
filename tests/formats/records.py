"""Records for the tests of the formats: what a producer would send."""

import json
from typing import Any

from cdp_stream.core.model.definition import Input
from cdp_stream.formats.events import BatchDecoder, Decoded

AT = 1_700_000_000_000
IOS = Input("ios", "travel", "k-ios")
WEB = Input("web", "travel", "k-web")
CRM = Input("crm", "travel")


def one_input() -> BatchDecoder:
    return BatchDecoder({"ios": IOS})


def three_inputs() -> BatchDecoder:
    return BatchDecoder({"ios": IOS, "web": WEB, "crm": CRM})


def as_bytes(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def custom_event(name: Any = "Play", **data: Any) -> dict[str, Any]:
    return {"event_type": "custom_event", "data": {"event_name": name, **data}}


def decode(document: Any, *, at: int = AT) -> Decoded:
    """Decode a batch as the record of mpid 7."""
    return one_input().decode(as_bytes(document), b"7", (), at)


def batch_of(decoded: Decoded):
    """The batch of a record that must have no fault."""
    batch, rejects = decoded
    assert rejects == ()
    assert batch is not None
    return batch
