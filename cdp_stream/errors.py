"""Every exception this package raises on purpose, grouped by what the caller does about it.

::

    CdpError                  a message, and what to do next
    ├── InputError      (1)   what the user gave us is wrong: definitions, events, expectations
    ├── UsageError      (2)   the command was called wrongly: flags, settings, unknown ids
    └── OutsideError    (3)   something outside failed, and may work when tried again
        ├── BrokerError       Kafka cannot be reached, started or used as it is set up
        ├── PartnerError      a destination refused us or did not answer
        └── DiskError         a file or directory cannot be read or written

The number is the exit code of ``cdp`` (0 done, 1 the input is wrong, 2 usage, 3 something outside
failed). Three things are *not* exceptions: problems in definitions (data, all of them at once),
rejected events (outputs with a reason), and bugs (whatever Python raises).
"""

from typing import ClassVar

__all__ = [
    "BrokerError",
    "CdpError",
    "DiskError",
    "InputError",
    "OutsideError",
    "PartnerError",
    "UsageError",
    "counted",
]


class CdpError(Exception):
    """A foreseen failure, reported in one line: what is wrong, and what to do next.

    Attributes:
        message: Where and what, without a full stop at the end.
        next_step: What the reader can do about it, as an instruction; empty when nothing helps.
        exit_code: What ``cdp`` exits with; a property of the class.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        """The one line for standard error, with no newline in it."""
        line = f"{self.message}; {self.next_step}" if self.next_step else self.message
        return " ".join(line.split())


class InputError(CdpError):
    """What the user gave us to work on is wrong."""

    exit_code = 1


class UsageError(CdpError):
    """The command, a flag or a setting is wrong, whatever the input."""

    exit_code = 2


class OutsideError(CdpError):
    """Something that is not ours failed."""

    exit_code = 3


class BrokerError(OutsideError):
    """Kafka cannot be reached, cannot be started, or is not set up as we need it."""


class PartnerError(OutsideError):
    """A destination refused a request or did not answer."""


class DiskError(OutsideError):
    """A file or a directory cannot be read or written."""


def counted(number: int, noun: str) -> str:
    """A number and what is counted, for a message: `1 audience`, `1,200 batches`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith('ch') else 's'}"
