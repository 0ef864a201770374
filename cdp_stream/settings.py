"""What a command is told to do: one frozen object, from flags, environment and ``cdp.toml``.

A flag wins over the environment (``CDP_BROKER``, ...), which wins over ``cdp.toml``, which wins
over the default. A name that means nothing is an error, so that a typing mistake is not a silent
default. Nothing is read at import.
"""

import dataclasses
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from cdp_stream.core.secret_names import USUAL, SecretNames, is_secret
from cdp_stream.errors import UsageError

__all__ = [
    "Guarantee",
    "Secret",
    "SettingSource",
    "Settings",
    "load_secret_names",
    "load_settings",
]

Clock = Literal["wall", "stream"]
Guarantee = Literal["exactly-once", "at-least-once"]
LogFormat = Literal["json", "logfmt"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Kept = Literal["rows", "store", "waiting", "delivering", "outputs_waiting", "outputs_sending"]
"""What is kept: decoded rows; RocksDB's blocks and tables; records that were fetched and wait; rows
and messages on their way to Kafka; records of outputs' topics; changes on their way to partners."""

_SHARES: dict[Kept, float] = {
    "rows": 7 / 16, "store": 1 / 8, "waiting": 1 / 16, "delivering": 1 / 32,
    # Of a process of its own.
    "outputs_waiting": 1 / 16, "outputs_sending": 1 / 4,
}  # fmt: skip
"""Shares of `memory`; what is left is for Python, libraries, definitions and copies."""
_MOST_SECONDS = 3600
_LONGEST_PREFIX = 100  # Kafka's limit for a topic name is 249
_NOT_SETTINGS = ("CDP_TEST_", "CDP_REQUIRE_KAFKA")
"""Environment names that belong to the test suite."""


class Secret:
    """A text that is shown to nobody: whatever prints it prints asterisks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for whom it is meant."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


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
        metrics_host: The address that they are served on.
        clock: ``wall``, or ``stream``: time is the greatest arrival applied.
        grace: How long a record may be on its way before the wall clock passes it, ms. Written as
            ``250ms``, ``2s`` or a number of milliseconds.
        guarantee: What a crash may do to outputs. A worker that was not told falls back to
            ``at-least-once``, with a warning, on a broker that has no transactions.
        store: Where rows are kept locally: ``rocksdb``, in ``data_dir``, or ``memory``.
        memory: What a worker's profiles may take of memory, MiB; what each buffer may take are
            shares of it, as are those of the sinks.
        profile_size: At how many KiB a profile's row stops growing.
        log_level: The least level that is logged.
        log_format: How a fact is written: as JSON, or as logfmt. Without, laid out for people on a
            terminal, as JSON elsewhere.
        session_timeout: After how long of silence a worker's partitions go to others, seconds.
        Until then a killed worker's partitions wait; after it a stopped worker sends nothing more.
        rebalance_timeout: How long a rebalance waits for members, seconds.
        tls: Whether connections to Kafka are encrypted.
        tls_ca: PEM file with the authorities that may vouch for brokers; the system's without.
        tls_certificate: PEM file with the client's own certificate, for a broker that asks for one.
        tls_key: PEM file with its private key; without, the key is in the certificate's file.
        tls_key_password: What the key is encrypted with.
        sasl_mechanism: How to log in; no login without.
        sasl_username: As whom.
        sasl_password: The password, from the environment.
        sasl_password_file: The file that holds it, instead.
        secret_names: Which variables of the environment definitions may use, by `${NAME}`.
        allow_private: Whether outputs may call addresses inside the own network, where their own
            settings allow it too.
        outputs_dir: The folder in which every file must lie that settings of outputs name; any
            without.
    """

    broker: str = "localhost:9092"
    prefix: str = "cdp"
    partitions: int = 4
    replication: int = 1
    data_dir: Path = Path("cdp-data")
    metrics_port: int | None = None
    metrics_host: str = "0.0.0.0"
    clock: Clock = "wall"
    grace: int = 250
    guarantee: Guarantee = "exactly-once"
    store: Literal["rocksdb", "memory"] = "rocksdb"
    memory: int = 1024
    profile_size: int = 512
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat | None = None
    session_timeout: float = 10.0
    rebalance_timeout: float = 30.0
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_key_password: Secret | None = None
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: Secret | None = None
    sasl_password_file: Path | None = None
    secret_names: SecretNames = USUAL
    allow_private: bool = True
    outputs_dir: Path | None = None

    @property
    def row_limit(self) -> int:
        """Bytes at which a profile's row stops growing."""
        return self.profile_size * 1024

    def memory_for(self, what: Kept) -> int:
        """Bytes of memory for one kind of what a worker keeps, of all partitions together."""
        return int(self.memory * 1024 * 1024 * _SHARES[what])

    @property
    def brokers(self) -> list[str]:
        """The addresses, one by one."""
        return [address.strip() for address in self.broker.split(",") if address.strip()]

    @property
    def group_id(self) -> str:
        """The consumer group of the profiles topology."""
        return f"{self.prefix}-profiles"

    def sink_group_id(self, output: str) -> str:
        """The consumer group of an output's sink."""
        return f"{self.prefix}-sink-{output}"

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
    """Put settings together, see that they fit each other, and tell where each came from.

    Raises:
        UsageError: As `gathered_settings`, or settings of TLS and SASL that do not fit each other.
    """
    settings, sources = gathered_settings(flags, environment, file)
    check_security(settings)
    return settings, sources


def row_limit(environment: Mapping[str, str], file: Path | None = None) -> int:
    """Bytes at which a profile's row stops growing, for commands without a broker: they have to
    evaluate as workers do, whatever the other settings are.

    Raises:
        UsageError: The value does not fit, or the file cannot be read.
    """
    name = "CDP_PROFILE_SIZE"
    own = {name: environment[name]} if name in environment else {}
    return gathered_settings({}, own, file)[0].row_limit


def gathered_settings(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> tuple[Settings, list[SettingSource]]:
    """Put settings together, whether they fit each other or not, and tell where each came from.

    Args:
        flags: Values given on the command line, by setting name; ``None`` means not given.
        environment: The process's environment.
        file: A ``cdp.toml``; one that does not exist counts as empty.

    Raises:
        UsageError: Unknown names, or values that do not fit their settings; all of them are named.
    """
    names = {f.name for f in dataclasses.fields(Settings)}
    wrong: list[UsageError] = []
    from_file = _read_file(file, names, wrong)
    from_environment = _read_environment(environment, names, wrong)
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
        try:
            values[name] = raw if source == "default" else _checked(name, raw, source)
        except UsageError as error:
            wrong.append(error)
        else:
            sources.append(SettingSource(name, values[name], source))
    _refuse(wrong)
    return Settings(**values), sources


def _refuse(wrong: list[UsageError]) -> None:
    """Raise what is wrong, all of it in one line."""
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        told = "; ".join(f"({number}) {one}" for number, one in enumerate(wrong, start=1))
        raise UsageError(f"{len(wrong)} settings are wrong: {told}")


def load_secret_names(environment: Mapping[str, str], file: Path | None = None) -> SecretNames:
    """The setting `secret_names` alone, for commands that need no other.

    Raises:
        UsageError: It does not fit, or the file cannot be read.
    """
    name = "secret_names"
    variable = f"CDP_{name.upper()}"
    if variable in environment:
        found = _checked(name, environment[variable], f"environment {variable}")
    else:
        found = _checked(name, _contents(file).get(name, USUAL), str(file))
    assert isinstance(found, SecretNames)
    return found


def _read_environment(
    environment: Mapping[str, str], names: set[str], wrong: list[UsageError]
) -> dict[str, str]:
    found = {}
    for variable, value in environment.items():
        if (
            not variable.startswith("CDP_")
            or variable.startswith(_NOT_SETTINGS)
            or is_secret(variable)
        ):
            continue
        name = variable.removeprefix("CDP_").lower()
        if name in names:
            found[name] = value
        else:
            likely = _likely(name, names, "CDP_")
            wrong.append(UsageError(f"{variable} is no setting", f"unset it; {likely}"))
    return found


def _contents(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "correct or remove it") from error


def _read_file(file: Path | None, names: set[str], wrong: list[UsageError]) -> dict[str, Any]:
    found = _contents(file)
    for name in found:
        if name not in names:
            wrong.append(UsageError(f"{file}: {name} is no setting", _likely(name, names)))
        elif name in _SECRETS:
            advice = f"set CDP_{name.upper()} in the environment"
            if name == "sasl_password":
                advice += ", or name a file with sasl_password_file"
            told = f"{file}: {name} does not belong into a file that is kept with others"
            wrong.append(UsageError(told, advice))
    return {name: value for name, value in found.items() if name not in _SECRETS}


def _likely(name: str, names: set[str], prefix: str = "") -> str:
    """A setting that was perhaps meant, or all that there are."""
    near = get_close_matches(name, names, 1)
    shown = sorted(prefix + (one.upper() if prefix else one) for one in near or names)
    return f"did you mean {shown[0]}?" if near else f"settings are: {', '.join(shown)}"


def _checked(name: str, raw: object, source: str) -> object:
    check, wanted = _CHECKS[name]
    try:
        return check(raw)
    except (TypeError, ValueError, LookupError) as error:
        shown = "what it is set to" if name in _SECRETS else repr(raw)
        raise UsageError(f"{name} ({source}): {shown} is not {wanted}", "correct it") from error


def check_security(settings: Settings) -> None:
    """Refuse settings of TLS and SASL that would be passed over in silence, or lack one another.

    Raises:
        UsageError: There are such; all of them are named.
    """
    _refuse([*_wrong_tls(settings), *_wrong_login(settings)])


def _wrong_tls(settings: Settings) -> Iterator[UsageError]:
    for name in ("tls_ca", "tls_certificate"):
        if getattr(settings, name) is not None and not settings.tls:
            yield UsageError(f"{name} is set, but tls is off", "set tls = true, or unset it")
    if settings.tls_certificate is None and (settings.tls_key or settings.tls_key_password):
        yield UsageError(
            "tls_key or tls_key_password is set, but no certificate", "set tls_certificate too"
        )


def _wrong_login(settings: Settings) -> Iterator[UsageError]:
    passwords = [settings.sasl_password, settings.sasl_password_file]
    if settings.sasl_mechanism is None:
        if settings.sasl_username is not None or any(passwords):
            yield UsageError(
                "a SASL name or password is set, but no mechanism",
                "set sasl_mechanism to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            )
    elif settings.sasl_username is None or not any(passwords):
        yield UsageError(
            f"sasl_mechanism is {settings.sasl_mechanism}, but a name or a password is missing",
            "set sasl_username, and CDP_SASL_PASSWORD or sasl_password_file",
        )
    elif all(passwords):
        yield UsageError(
            "the SASL password is set twice: sasl_password and sasl_password_file", "unset one"
        )


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


def _yes_or_no(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    return {"true": True, "false": False}[_text(raw).lower()]


def _secret(raw: object) -> Secret:
    if isinstance(raw, Secret):
        return raw
    if not isinstance(raw, str) or not raw:
        raise ValueError
    return Secret(raw)


def _secret_names(raw: object) -> SecretNames:
    if isinstance(raw, SecretNames):
        return raw
    names = raw if isinstance(raw, list) else str(raw).split(",")
    return SecretNames(tuple(str(name).strip() for name in names if str(name).strip()))


def _path(raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(_text(raw))


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


_SECRETS = frozenset({"sasl_password", "tls_key_password"})
_CHECKS: dict[str, tuple[Callable[[object], object], str]] = {
    "broker": (_text, "host:port, or several separated by commas"),
    "prefix": (_topic_prefix, "letters, digits, '.', '_' and '-', at most 100"),
    "partitions": (_whole(1, 10_000), "a whole number from 1"),
    "replication": (_whole(1, 100), "a whole number from 1"),
    "data_dir": (lambda raw: Path(_text(str(raw))), "a directory"),
    "metrics_port": (_whole(1, 65_535), "a port from 1 to 65535"),
    "metrics_host": (_text, "an address or a host name"),
    "clock": (_one_of("wall", "stream"), "wall or stream"),
    "grace": (_milliseconds, "a duration such as 250ms or 2s"),
    "guarantee": (
        _one_of("exactly-once", "at-least-once"),
        "exactly-once or at-least-once",
    ),
    "store": (_one_of("rocksdb", "memory"), "rocksdb or memory"),
    "profile_size": (_whole(16, 768), "KiB, from 16 to 768"),
    "memory": (_whole(1, 1_048_576), "MiB, from 1"),
    "log_level": (_one_of("debug", "info", "warning", "error"), "debug, info, warning or error"),
    "log_format": (_one_of("json", "logfmt"), "json or logfmt"),
    "session_timeout": (_seconds, "seconds, above 0"),
    "rebalance_timeout": (_seconds, "seconds, above 0"),
    "tls": (_yes_or_no, "true or false"),
    "tls_ca": (_path, "a file"),
    "tls_certificate": (_path, "a file"),
    "tls_key": (_path, "a file"),
    "tls_key_password": (_secret, "a password"),
    "sasl_mechanism": (
        _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    "sasl_username": (_text, "a name"),
    "sasl_password": (_secret, "a password"),
    "sasl_password_file": (_path, "a file"),
    "secret_names": (_secret_names, "names of variables, separated by commas; * for any letters"),
    "allow_private": (_yes_or_no, "true or false"),
    "outputs_dir": (_path, "a folder"),
}
