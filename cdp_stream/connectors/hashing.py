"""Identities in the form in which advertising partners compare them: normalised, then hashed.

Sources: the partners' own pages; docs/connectors names the rule of each.
"""

from __future__ import annotations

import hashlib

__all__ = [
    "device_sha256",
    "email_sha256",
    "md5_hex",
    "normal_email",
    "normal_phone",
    "phone_sha256",
    "sha1_hex",
    "sha256_hex",
]

_GMAIL = frozenset({"gmail.com", "googlemail.com"})


def normal_email(email: str, *, gmail_dots: bool = True) -> str:
    """Trimmed, in lower case.

    Args:
        gmail_dots: False removes dots, and what follows a `+`, before `@gmail.com`, as Google asks.
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
    digits = "".join(one for one in phone if "0" <= one <= "9").lstrip("0")
    return f"+{digits}" if plus and digits else digits


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, lower-case hexadecimal."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def sha1_hex(text: str) -> str:
    """SHA-1 of the UTF-8 bytes, lower-case hexadecimal; for partners that ask for it."""
    return hashlib.sha1(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def md5_hex(text: str) -> str:
    """MD5 of the UTF-8 bytes, lower-case hexadecimal; for partners that ask for it."""
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def email_sha256(email: str) -> str:
    """SHA-256 of an email, trimmed and in lower case; empty when nothing is left of it."""
    text = normal_email(email)
    return text and sha256_hex(text)


def phone_sha256(phone: str) -> str:
    """SHA-256 of a phone's digits with the country code; empty when there are none."""
    digits = normal_phone(phone)
    return digits and sha256_hex(digits)


def device_sha256(identity: str) -> str:
    """SHA-256 of an advertising id in lower case, with its hyphens; empty when it is empty."""
    text = identity.strip().lower()
    return text and sha256_hex(text)
