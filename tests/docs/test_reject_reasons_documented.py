"""The producer's page names every reject reason, event type and limit that the code has."""

import re
from pathlib import Path

from cdp_stream.formats import limits
from cdp_stream.formats.event_types import READERS
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.rejects import Reason
from tests.formats.records import IOS

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def test_every_reason_has_a_heading_in_the_order_of_the_checks():
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == list(Reason)


def test_every_event_type_is_listed():
    assert [event_type for event_type in READERS if f"`{event_type}`" not in PAGE] == []


def test_every_limit_is_stated():
    section = PAGE.split("## Limits")[1].split("\n## ")[0]
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", section)}
    assert {
        limits.RECORD_BYTES,
        limits.NESTING,
        limits.EVENT_NAME,
        limits.EVENT_ATTRIBUTES,
    } <= numbers
    assert {
        limits.EVENT_ATTRIBUTE_NAME,
        limits.EVENT_ATTRIBUTE_VALUE,
        limits.USER_ATTRIBUTES,
    } <= numbers
    assert {limits.USER_ATTRIBUTE_NAME, limits.USER_ATTRIBUTE_VALUE} <= numbers
    assert {limits.LIST_ENTRIES, limits.LIST_ENTRY} <= numbers


def test_the_example_is_accepted():
    example = PAGE.split("```json\n")[1].split("```")[0].encode()
    batch, rejects = BatchDecoder({"ios": IOS}).decode(
        example, b"5283746152837465", (), 1_767_225_604_700
    )
    assert rejects == ()
    assert [event.name for event in batch.events] == ["Play Video"]
