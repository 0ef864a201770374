"""One applied version of the definitions, as a record of `cdp.definitions`.

It has the texts of all files as they are written: the value of `${NAME}` is never looked up
here, so no secret gets to Kafka.

Source: docs/changing-definitions.md, the topic.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

__all__ = [
    "DefinitionFile",
    "DefinitionsRecord",
    "decode_record",
    "digest_of_files",
    "encode_record",
]

VERSION: Final = 1
_DIGEST_LENGTH = 12


class DefinitionFile(msgspec.Struct, frozen=True):
    """One file: the name that problems show, and its text."""

    name: str
    text: str


class DefinitionsRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One applied version.

    Attributes:
        format: of this record.
        version: counts from 1.
        digest: of the files, as `digest_of_files` gives it.
        files: in the order in which they are read.
    """

    format: int
    version: int
    digest: str
    files: tuple[DefinitionFile, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DefinitionsRecord).decode


def encode_record(version: int, files: Iterable[DefinitionFile]) -> bytes:
    """The value of the record of a version."""
    found = tuple(files)
    return _encode(DefinitionsRecord(VERSION, version, digest_of_files(found), found))


def decode_record(value: bytes | None) -> DefinitionsRecord:
    """The version that a record holds.

    Raises:
        ValueError: it holds none, or is of another format; the message names what is wrong.
    """
    if not value:
        raise ValueError("the record is empty")
    try:
        record = _decode(value)
    except msgspec.DecodeError as error:
        message = str(error)
        if "unknown field" in message:  # it names what nobody knows
            message = "it has a member that is not known here"
        raise ValueError(f"it cannot be read: {message}") from None
    if record.version < 1:
        raise ValueError("its version is below 1")
    if record.format != VERSION:
        raise ValueError(f"its format is {record.format}, this release reads {VERSION}")
    if record.digest != digest_of_files(record.files):
        raise ValueError("its digest is not that of its files")
    return record


def digest_of_files(files: Iterable[DefinitionFile]) -> str:
    """A digest of the texts of files, in their order: 12 hexadecimal digits; their names do not
    matter.
    """
    digest = sha256()
    for file in files:
        text = file.text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()[:_DIGEST_LENGTH]
