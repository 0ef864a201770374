"""Identities in the form in which advertising partners compare them: normalised, then hashed.

Sources: the partners' own pages; docs/connectors names the rule of each.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = [
    "DEVICES", "PHONES", "device_sha256", "email_sha256", "md5_hex", "normal_device_id",
    "normal_email", "normal_phone", "phone_sha256", "sha1_hex", "sha256_hex",
]  # fmt: skip

PHONES: Final = ("mobile_number", "phone_number_2", "phone_number_3")
DEVICES: Final = ("ios_advertising_id", "android_advertising_id")
"""Identity types that are telephone numbers, or advertising ids of devices."""

_NO_DIGITS = re.compile(r"[^0-9]+")
_DEVICE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_DEVICE = "00000000-0000-0000-0000-000000000000"
_GMAIL = frozenset({"gmail.com", "googlemail.com"})


def normal_email(email: str, *, gmail_dots: bool = True) -> str:
    """Trimmed, in lower case.

    Args:
        gmail_dots: False removes dots, and what follows a `+`, before `@gmail.com`, as Google
            requires.
    """
    text = email.strip().lower()
    if gmail_dots:
        return text
    local, _, domain = text.partition("@")
    if domain in _GMAIL:
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}" if domain else local


def normal_phone(phone: str, *, plus: bool = False) -> str:
    """Digits alone, country code first, without leading zeros; `plus` puts one before them
    (E.164).
    """
    digits = _NO_DIGITS.sub("", phone).lstrip("0")
    return f"+{digits}" if plus and digits else digits


def normal_device_id(device_id: str) -> str:
    """An advertising id in lower case with dashes; empty when it is none. A device whose owner
    forbids tracking gives zeros alone: they identify nobody.
    """
    text = device_id.strip().lower()
    return text if _DEVICE_ID.fullmatch(text) and text != _NO_DEVICE else ""


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, lower-case hexadecimal."""
    return hashlib.sha256(_utf8(text)).hexdigest()


def sha1_hex(text: str) -> str:
    """SHA-1 of the UTF-8 bytes, lower-case hexadecimal; for partners that require it."""
    return hashlib.sha1(_utf8(text), usedforsecurity=False).hexdigest()


def md5_hex(text: str) -> str:
    """MD5 of the UTF-8 bytes, lower-case hexadecimal; for partners that require it."""
    return hashlib.md5(_utf8(text), usedforsecurity=False).hexdigest()


def email_sha256(email: str, *, gmail_dots: bool = True) -> str:
    """SHA-256 of the normalised email; empty when it is none. `gmail_dots` as `normal_email`."""
    text = normal_email(email, gmail_dots=gmail_dots)
    return sha256_hex(text) if 0 < text.find("@") < len(text) - 1 else ""


def phone_sha256(phone: str, *, plus: bool = False) -> str:
    """SHA-256 of a phone's digits with the country code; empty when there are none.

    `plus` as in `normal_phone`.
    """
    digits = normal_phone(phone, plus=plus)
    return digits and sha256_hex(digits)


def device_sha256(device_id: str) -> str:
    """SHA-256 of an advertising id in lower case, with its dashes; empty when it is none."""
    text = normal_device_id(device_id)
    return text and sha256_hex(text)


def _utf8(text: str) -> bytes:
    """Halves of characters, which JSON can write, are hashed too: they are somebody's identity."""
    try:
        return text.encode()  # several times as fast as with a handler of errors
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
