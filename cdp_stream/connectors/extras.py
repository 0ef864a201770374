"""Libraries that only some connectors need: extras of the package.

Source: docs/connectors/README.md, extras.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from cdp_stream.errors import UsageError

__all__ = ["EXTRAS", "require_extra"]

EXTRAS: Final = {
    "aws": ("botocore",),
    "google": ("google.auth", "cryptography"),
    "postgres": ("psycopg",),
}
"""Extra -> the modules that it brings."""


def require_extra(extra: str | None, who: str) -> None:
    """Nothing, when what a connector needs is installed.

    Args:
        who: needs it, for the message.

    Raises:
        UsageError: it is not; the message names the extra.
    """
    if extra is None:
        return
    missing = [module for module in EXTRAS[extra] if not _is_there(module)]
    if missing:
        raise UsageError(
            f"{who} needs {' and '.join(missing)}, which is not installed",
            f"run `pip install 'cdp-stream[{extra}]'`",
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is not there
        return False
