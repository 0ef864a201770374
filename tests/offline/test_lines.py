"""Event files are read line by line, whatever they are and whatever is in them."""

import gzip
import os
import sys
from pathlib import Path

import pytest

from cdp_stream.errors import DiskError, InputError
from cdp_stream.offline.lines import BLOCK, LONGEST_LINE, LineFile


def lines_of(path: Path) -> list[bytes]:
    with LineFile(str(path)) as file:
        return list(file)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"\n\n", [b"", b""]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
        (b"a\x00b\x85c\xe2\x80\xa8d\re\n", [b"a\x00b\x85c\xe2\x80\xa8d\re"]),
    ],
)
@pytest.mark.parametrize("name", ["plain.ndjson", "packed.ndjson.gz"])
def test_only_a_line_feed_ends_a_line(
    tmp_path: Path, name: str, content: bytes, lines: list[bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert lines_of(path) == lines


def test_lines_go_on_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    lines = [b"a" * (BLOCK - 1), b"b" * 3, b"c" * (BLOCK // 2), b"d" * (BLOCK // 2), b"e"]
    path.write_bytes(b"\n".join(lines))
    assert lines_of(path) == lines


def test_a_line_without_end_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "overlong.ndjson"
    path.write_bytes(b"x" * (8 * BLOCK + 5) + b"\nnext\n" + b"y" * (8 * BLOCK))
    long, following, last = lines_of(path)
    assert LONGEST_LINE <= len(long) <= LONGEST_LINE + BLOCK
    assert following == b"next"
    assert LONGEST_LINE <= len(last) <= LONGEST_LINE + BLOCK


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "joined.gz"
    path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
    assert lines_of(path) == [b"a", b"bc"]


def test_a_truncated_gzip_file_gives_its_lines_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    whole = b"\n".join(b"%d" % (number * 7919) for number in range(100_000))
    path.write_bytes(gzip.compress(whole)[:-1000])
    read = []
    with (
        pytest.raises(DiskError, match=r"cut\.gz: cannot be read on"),
        LineFile(str(path)) as file,
    ):
        read.extend(file)
    assert read[:2] == [b"0", b"7919"]
    assert len(read) > 50_000


@pytest.mark.parametrize("content", [b'{"mpid":1}\n', b"\x1f\x8b\x08rubbish", b"\x1f"])
def test_an_invalid_gzip_file_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "named.gz"
    path.write_bytes(content)
    with pytest.raises(DiskError, match="check that the file is whole"):
        lines_of(path)


def test_a_missing_file_and_a_folder_are_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ndjson: No such file or directory"):
        LineFile(str(tmp_path / "none.ndjson"))
    with pytest.raises(InputError, match="Is a directory"):
        LineFile(str(tmp_path))


def test_progress_is_counted_in_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "packed.gz"
    path.write_bytes(gzip.compress(b"a\n" * 100_000))
    with LineFile(str(path)) as file:
        assert (file.size, file.bytes_read) == (path.stat().st_size, 0)
        assert sum(1 for _ in file) == 100_000
        assert file.bytes_read == file.size


def test_a_slow_pipe_gives_each_line_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb", buffering=0) as producer:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stdin}))
        with LineFile("-") as file:
            assert (file.size, file.bytes_read) == (None, 0)
            lines = iter(file)
            producer.write(b"first\nsec")
            assert next(lines) == b"first"
            producer.write(b"ond\n")
            assert next(lines) == b"second"
            producer.write(b"third")
            producer.close()
            assert list(lines) == [b"third"]
        assert not stdin.closed
