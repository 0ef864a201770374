"""The purchase histories of examples/cdnow as event batches in time order, one per purchase.

The same file always gives the same bytes. It has days only; the time of day follows from a digest
of the line, so that purchases spread over the day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson

from cdp_stream.errors import InputError

DAY_MS: Final = 86_400_000

_COLUMNS = 5
_HERE = Path(__file__).resolve().parent


class Purchase(NamedTuple):
    """One line of the file.

    Attributes:
        occurred_at: Epoch ms: the line's day, and a time of day that follows from the line.
        mpid: The customer's number in the master data set.
        number: Which of the file's lines it is, from 1.
        customer: The customer's number as written.
        quantity: How many CDs.
        dollars: What they cost, as written in the file.
    """

    occurred_at: int
    mpid: int
    number: int
    customer: str
    quantity: int
    dollars: str


def example_file(name: str) -> Path:
    """A file of examples/cdnow, from a checkout or from an installed wheel.

    Raises:
        InputError: It is in neither.
    """
    for folder in (_HERE.parents[1] / "examples" / "cdnow", _HERE / "cdnow"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"examples/cdnow/{name} is missing beside the package", "run it from a complete checkout"
    )


def read_purchases(path: Path) -> list[Purchase]:
    """The purchases of a file, in order of time.

    Raises:
        InputError: The file cannot be read, or a line is not what the others are.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}", "restore it from the repository") from error
    return sorted(_purchase(path, number, line) for number, line in enumerate(lines, start=1))


def encode_batch(purchase: Purchase) -> bytes:
    """The event batch of a purchase, as a producer would publish it."""
    batch: dict[str, Any] = {
        "mpid": purchase.mpid,
        "timestamp_unixtime_ms": purchase.occurred_at,
        "user_identities": {"customer_id": purchase.customer},
        "events": [
            {
                "event_type": "commerce_event",
                "data": {
                    "timestamp_unixtime_ms": purchase.occurred_at,
                    "source_message_id": f"cdnow-{purchase.number}",
                    "currency_code": "USD",
                    "product_action": {
                        "action": "purchase",
                        "total_amount": float(purchase.dollars),
                        "products": [{"id": "cd", "name": "CD", "quantity": purchase.quantity}],
                    },
                },
            }
        ],
    }
    return orjson.dumps(batch)


def write_batches(purchases: Iterable[Purchase], out: IO[bytes]) -> None:
    """Write the batches as the other commands read them, one a line."""
    out.writelines(encode_batch(purchase) + b"\n" for purchase in purchases)


def _purchase(path: Path, number: int, line: str) -> Purchase:
    try:
        customer, _, date, quantity, dollars = line.split()
        day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
        at = int(day.timestamp()) * 1000 + _time_of_day(number, line)
        return Purchase(at, int(customer), number, customer, int(quantity), str(float(dollars)))
    except ValueError as error:
        raise InputError(
            f"{path}:{number}: not `customer customer date CDs dollars`: {error}",
            "restore the file from the repository",
        ) from error


def _time_of_day(number: int, line: str) -> int:
    digest = hashlib.sha256(f"{number} {line}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % DAY_MS
