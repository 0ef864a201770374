"""The limits on what producers send: one place for the numbers, and the words of the details that
name them.

Lengths of text are in characters (Unicode code points), sizes in bytes, times in epoch ms.

Source: docs/events.md, limits.
"""

from __future__ import annotations

from typing import Final

RECORD_BYTES: Final = 131_072
NESTING: Final = 64
"""Objects and lists within one another, the batch itself being the first."""

EVENT_NAME: Final = 256
EVENT_ATTRIBUTES: Final = 100
EVENT_ATTRIBUTE_NAME: Final = 256
EVENT_ATTRIBUTE_VALUE: Final = 4096

USER_ATTRIBUTES: Final = 100
USER_ATTRIBUTE_NAME: Final = 256
USER_ATTRIBUTE_VALUE: Final = 4096
LIST_ENTRIES: Final = 1000
LIST_ENTRY: Final = 512

GREATEST_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

PLAUSIBLE_TIME: Final = 946_684_800_000
"""The year 2000. What happened before was mostly written in seconds; it is used as it is."""

CLOCK_SKEW_MS: Final = 3_600_000
"""How far a batch's own timestamp may be ahead of its Kafka record's, and a record that moves a
partition's time ahead of the wall clock.
"""

LEAST_MPID: Final = -(2**63)
GREATEST_MPID: Final = 2**63 - 1

REJECTED_BYTES: Final = 4 * 1024 * 1024
"""How much the rejected events of one record may grow to when each is handed back with a copy of
its batch around it.
"""

MESSAGE_BYTES: Final = 1_000_000
"""How large a message of an output may be: a topic takes 1,048,588 bytes at Kafka's defaults."""

DETAIL_CHARACTERS: Final = 4096
"""How long a reject's detail may grow; it travels in a header."""
