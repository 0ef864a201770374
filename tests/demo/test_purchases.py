"""The purchase file becomes the same batches each time, in time order, all of them usable."""

from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import orjson
import pytest

from cdp_stream.core.model.definition import Input
from cdp_stream.demo.purchases import (
    encode_batch,
    example_file,
    read_purchases,
    write_batches,
)
from cdp_stream.errors import InputError
from cdp_stream.formats.events import BatchDecoder

LINE = " 00004 0001 19970118  2   29.73\n"


def test_a_line_becomes_one_purchase_on_its_day(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text(LINE)
    (purchase,) = read_purchases(tmp_path / "file.txt")
    assert datetime.fromtimestamp(purchase.occurred_at / 1000, UTC).date() == date(1997, 1, 18)
    batch = orjson.loads(encode_batch(purchase))
    assert batch["mpid"] == 4
    assert batch["timestamp_unixtime_ms"] == purchase.occurred_at
    assert batch["user_identities"] == {"customer_id": "00004"}
    (event,) = batch["events"]
    assert event["data"]["source_message_id"] == "cdnow-1"
    assert event["data"]["product_action"] == {
        "action": "purchase",
        "total_amount": 29.73,
        "products": [{"id": "cd", "name": "CD", "quantity": 2}],
    }


def test_the_file_of_the_examples_is_complete_and_in_time_order() -> None:
    purchases = read_purchases(example_file("cdnow_sample.txt"))
    assert len(purchases) == 6919
    assert len({purchase.mpid for purchase in purchases}) == 2357
    times = [purchase.occurred_at for purchase in purchases]
    assert times == sorted(times)
    assert purchases == read_purchases(example_file("cdnow_sample.txt"))


def test_every_batch_can_be_used() -> None:
    decoder = BatchDecoder({"orders": Input("orders", "shop")})
    for purchase in read_purchases(example_file("cdnow_sample.txt")):
        batch, rejects = decoder.decode_line(encode_batch(purchase))
        assert not rejects
        assert batch is not None
        assert batch.arrival == purchase.occurred_at == batch.events[0].occurred_at


def test_batches_are_written_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text(LINE * 2)
    purchases = read_purchases(tmp_path / "file.txt")
    write_batches(purchases, out := BytesIO())
    lines = out.getvalue().splitlines()
    assert lines == [encode_batch(purchase) for purchase in purchases]


@pytest.mark.parametrize("line", ["", "1 1 19970118 2", "1 1 19971318 2 3.0", "x 1 19970118 2 3.0"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text(LINE + line + "\n")
    with pytest.raises(InputError, match=r"file\.txt:2"):
        read_purchases(path)


def test_a_missing_example_says_what_to_do() -> None:
    with pytest.raises(InputError, match="complete checkout"):
        example_file("nothing.txt")
