"""`${NAME}` in settings of outputs and connections: which variables it may name.

Operators allow names, as text or as patterns with `*`. Whatever they allow, a name that begins
with `CDP_` is that of a setting, a password of Kafka perhaps, and is never filled in; those that
begin with `CDP_SECRET_` are no settings, and are for this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

__all__ = [
    "REFERENCE",
    "SECRET_PREFIX",
    "USUAL",
    "SecretNames",
    "is_secret",
    "names_in",
]

SECRET_PREFIX: Final = "CDP_SECRET_"
_SECRET_NAMES: Final = "CDP_SECRET_NAMES"
"""The one name with that prefix that is a setting: it lists the others that may be used."""

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SETTING_PREFIX: Final = "CDP_"
_PATTERN: Final = re.compile(r"[A-Za-z_*][A-Za-z0-9_*]*")


def is_secret(name: str) -> bool:
    """Whether a variable of the process holds a secret, and no setting."""
    return name.startswith(SECRET_PREFIX) and name != _SECRET_NAMES


def names_in(settings: object) -> Iterator[str]:
    """The names of the variables that settings ask for, however deep."""
    if isinstance(settings, str):
        yield from REFERENCE.findall(settings)
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from names_in(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from names_in(value)


@dataclass(frozen=True, slots=True)
class SecretNames:
    """The names that operators allow.

    Attributes:
        patterns: names, in which `*` matches any characters, or none.

    Raises:
        ValueError: one is no name.
    """

    patterns: tuple[str, ...] = (f"{SECRET_PREFIX}*",)

    def __post_init__(self) -> None:
        if not all(map(_PATTERN.fullmatch, self.patterns)):
            raise ValueError(self.patterns)

    def __str__(self) -> str:
        return ",".join(self.patterns)

    def allows(self, name: str) -> bool:
        """Whether definitions may use a variable."""
        if _is_setting(name):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def refusal(self, name: str) -> str:
        """Why a name is not allowed."""
        if _is_setting(name):
            return f"`{name}` is the name of a setting, which definitions never get"
        return f"operators do not allow `{name}` (secret_names: {self})"

    def advice(self, name: str) -> str:
        """What to do about a name that is not allowed."""
        if _is_setting(name):
            return f"give the secret a variable of its own, as `${{{SECRET_PREFIX}CRM}}`"
        rest = re.sub(r"^SECRET_+", "", name.upper())
        return (
            f"name it `${{{SECRET_PREFIX}{rest}}}`, here and where workers start; or have operators"
            " allow it by the setting `secret_names`"
        )


USUAL: Final = SecretNames()
"""Those that are allowed where operators set none."""


def _is_setting(name: str) -> bool:
    return name.upper().startswith(_SETTING_PREFIX) and not is_secret(name)
