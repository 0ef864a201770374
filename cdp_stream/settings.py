"""What a command is told to do: one frozen object, from flags, environment and ``cdp.toml``.

A flag wins over the environment (``CDP_BROKER``, ...), which wins over ``cdp.toml``, which wins
over the default. A name that means nothing is an error, so that a typing mistake is not a silent
default. Nothing is read at import.
"""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cdp_stream.errors import UsageError

__all__ = ["SettingSource", "Settings", "load_settings"]

Clock = Literal["wall", "stream"]

_MOST_SECONDS = 3600
_LONGEST_PREFIX = 100  # Kafka's limit for a topic name is 249
_NOT_SETTINGS = ("CDP_TEST_", "CDP_REQUIRE_KAFKA")
"""Environment names that belong to the test suite."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked.

    Attributes:
        broker: Kafka addresses, ``host:port``, separated by commas.
        prefix: What all topic names and consumer groups begin with.
        partitions: Partitions of the input topic where it has to be created.
        replication: Copies of each topic that has to be created.
        data_dir: Where local files go; created if missing.
        metrics_port: Port for Prometheus metrics; none are served without.
        clock: ``wall``, or ``stream``: time is the greatest arrival applied.
        grace: How long a record may be on its way before the wall clock passes it, ms. Written as
            ``250ms``, ``2s`` or a number of milliseconds.
        guarantee: What a crash may do to outputs.
        store: Where rows are kept locally.
        log_level: The least level that is logged.
        session_timeout: After how long of silence a worker's partitions go to others, seconds.
        Until then a killed worker's partitions wait; after it a stopped worker sends nothing more.
        rebalance_timeout: How long a rebalance waits for members, seconds.
    """

    broker: str = "localhost:9092"
    prefix: str = "cdp"
    partitions: int = 4
    replication: int = 1
    data_dir: Path = Path("cdp-data")
    metrics_port: int | None = None
    clock: Clock = "wall"
    grace: int = 250
    guarantee: Literal["at-least-once"] = "at-least-once"
    store: Literal["memory"] = "memory"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    session_timeout: float = 10.0
    rebalance_timeout: float = 30.0

    @property
    def brokers(self) -> list[str]:
        """The addresses, one by one."""
        return [address.strip() for address in self.broker.split(",") if address.strip()]

    @property
    def group_id(self) -> str:
        """The consumer group of the profiles topology."""
        return f"{self.prefix}-profiles"

    def topic(self, suffix: str) -> str:
        """The name of a topic: ``events`` is ``cdp.events``."""
        return f"{self.prefix}.{suffix}"


@dataclass(frozen=True, slots=True)
class SettingSource:
    """One setting as ``cdp config`` prints it.

    Attributes:
        name: As in ``cdp.toml``, with underscores.
        value: The value in force.
        source: ``flag``, ``environment NAME``, ``FILE`` or ``default``.
    """

    name: str
    value: Any
    source: str


def load_settings(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> tuple[Settings, list[SettingSource]]:
    """Put settings together and tell where each came from.

    Args:
        flags: Values given on the command line, by setting name; ``None`` means not given.
        environment: The process's environment.
        file: A ``cdp.toml``; one that does not exist counts as empty.

    Raises:
        UsageError: An unknown name, or a value that does not fit its setting.
    """
    names = {f.name for f in dataclasses.fields(Settings)}
    from_file = _read_file(file, names)
    from_environment = _read_environment(environment, names)
    values: dict[str, Any] = {}
    sources = []
    for setting in dataclasses.fields(Settings):
        name = setting.name
        if flags.get(name) is not None:
            raw, source = flags[name], "flag"
        elif name in from_environment:
            raw, source = from_environment[name], f"environment CDP_{name.upper()}"
        elif name in from_file:
            raw, source = from_file[name], str(file)
        else:
            raw, source = setting.default, "default"
        values[name] = raw if source == "default" else _checked(name, raw, source)
        sources.append(SettingSource(name, values[name], source))
    return Settings(**values), sources


def _read_environment(environment: Mapping[str, str], names: set[str]) -> dict[str, str]:
    found = {}
    for variable, value in environment.items():
        if not variable.startswith("CDP_") or variable.startswith(_NOT_SETTINGS):
            continue
        name = variable.removeprefix("CDP_").lower()
        if name not in names:
            raise UsageError(
                f"{variable} is no setting", f"unset it; settings are: {_listed(names, 'CDP_')}"
            )
        found[name] = value
    return found


def _read_file(file: Path | None, names: set[str]) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "correct or remove it") from error
    for name in found:
        if name not in names:
            raise UsageError(f"{file}: {name} is no setting", f"settings are: {_listed(names)}")
    return found


def _listed(names: set[str], prefix: str = "") -> str:
    return ", ".join(sorted(prefix + (n.upper() if prefix else n) for n in names))


def _checked(name: str, raw: object, source: str) -> object:
    check, wanted = _CHECKS[name]
    try:
        return check(raw)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} ({source}): {raw!r} is not {wanted}", "correct it") from error


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int | str):
            raise TypeError
        number = int(raw)
        if not least <= number <= most:
            raise ValueError
        return number

    return check


def _milliseconds(raw: object) -> int:
    text, unit = str(raw).strip(), 1
    if isinstance(raw, str) and text.endswith("ms"):
        text = text.removesuffix("ms")
    elif isinstance(raw, str) and text.endswith("s"):
        text, unit = text.removesuffix("s"), 1000
    return _whole(0, 86_400_000)(text.strip()) * unit


def _seconds(raw: object) -> float:
    number = float(str(raw))
    if not 0 < number <= _MOST_SECONDS:
        raise ValueError
    return number


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(raw: object) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    return check


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError
    return raw


def _topic_prefix(raw: object) -> str:
    text = _text(raw)
    if (
        not all(c.isascii() and (c.isalnum() or c in "._-") for c in text)
        or len(text) > _LONGEST_PREFIX
    ):
        raise ValueError
    return text


_CHECKS: dict[str, tuple[Callable[[object], object], str]] = {
    "broker": (_text, "host:port, or several separated by commas"),
    "prefix": (_topic_prefix, "letters, digits, '.', '_' and '-', at most 100"),
    "partitions": (_whole(1, 10_000), "a whole number from 1"),
    "replication": (_whole(1, 100), "a whole number from 1"),
    "data_dir": (lambda raw: Path(_text(str(raw))), "a directory"),
    "metrics_port": (_whole(1, 65_535), "a port from 1 to 65535"),
    "clock": (_one_of("wall", "stream"), "wall or stream"),
    "grace": (_milliseconds, "a duration such as 250ms or 2s"),
    "guarantee": (
        _one_of("at-least-once"),
        "at-least-once (exactly-once does not exist in this version)",
    ),
    "store": (_one_of("memory"), "memory (rocksdb does not exist in this version)"),
    "log_level": (_one_of("debug", "info", "warning", "error"), "debug, info, warning or error"),
    "session_timeout": (_seconds, "seconds, above 0"),
    "rebalance_timeout": (_seconds, "seconds, above 0"),
}
