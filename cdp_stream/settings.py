"""The settings of a command: one frozen object, from flags, environment and ``cdp.toml``.

A flag wins over the environment (``CDP_BROKER``, ...), which wins over ``cdp.toml``, which wins
over the default. A name that means nothing is an error, so that a typing mistake is not a silent
default. Nothing is read at import. `setting_values.py` checks single values.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from cdp_stream.core.secret_names import USUAL, SecretNames, is_secret
from cdp_stream.errors import UsageError
from cdp_stream.setting_values import (
    Check,
    Secret,
    file_path,
    milliseconds,
    one_of,
    seconds,
    secret,
    text,
    topic_prefix,
    whole,
    yes_or_no,
)
from cdp_stream.setting_values import secret_names as names_of_variables

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
LogLevel = Literal["debug", "info", "warning", "error"]
Store = Literal["rocksdb", "memory"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Buffer = Literal["rows", "store", "waiting", "delivering", "outputs_waiting", "outputs_sending"]
"""What takes memory: decoded rows; RocksDB's blocks and tables; fetched records that wait; rows and
messages on their way to Kafka; records of outputs' topics; changes on their way to partners."""

_SHARES: dict[Buffer, float] = {
    "rows": 7 / 16, "store": 1 / 8, "waiting": 1 / 16, "delivering": 1 / 32,
    # Of a process of its own.
    "outputs_waiting": 1 / 16, "outputs_sending": 1 / 4,
}  # fmt: skip
"""Shares of `memory`; what is left is for Python, libraries, definitions and copies."""
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
        metrics_host: The address that they are served on.
        clock: ``wall``, or ``stream``: time is the greatest arrival applied.
        grace: How long a record may be on its way before the wall clock passes it, ms. Written as
            ``250ms``, ``2s`` or a number of milliseconds.
        guarantee: What a crash may do to outputs. Where it is not set, a worker falls back to
            ``at-least-once``, with a warning, on a broker that has no transactions.
        store: Where rows are kept locally: ``rocksdb``, in ``data_dir``, or ``memory``.
        memory: What a worker's profiles may take of memory, MiB; each buffer's limit, and each of
            the sinks', is a share of it.
        profile_size: At how many KiB a profile's row stops growing.
        log_level: The least level that is logged.
        log_format: How a fact is written: as JSON, or as logfmt. Without, laid out for people on a
            terminal, as JSON elsewhere.
        session_timeout: After how long of silence a worker's partitions go to others, seconds.
            Until then a killed worker's partitions wait; after it a stopped worker sends nothing.
        rebalance_timeout: How long a rebalance waits for members, seconds.
        tls: Whether connections to Kafka are encrypted.
        tls_ca: PEM file with the authorities that may vouch for brokers; the system's without.
        tls_certificate: PEM file with the client's own certificate, for a broker that asks for one.
        tls_key: PEM file with its private key; without, the key is in the certificate's file.
        tls_key_password: What the key is encrypted with.
        sasl_mechanism: How to log in; no login without.
        sasl_username: The name to log in with.
        sasl_password: The password, from the environment.
        sasl_password_file: The file that has the password, instead.
        secret_names: Which variables of the environment definitions may use, by `${NAME}`.
        allow_private: Whether outputs may call addresses inside the own network, where their own
            settings allow it too.
        outputs_dir: The folder that every file must be in that settings of outputs name; any folder
            without.
    """

    broker: Annotated[str, text("host:port, or several separated by commas")] = "localhost:9092"
    prefix: Annotated[str, topic_prefix()] = "cdp"
    partitions: Annotated[int, whole(1, 10_000, "a whole number from 1")] = 4
    replication: Annotated[int, whole(1, 100, "a whole number from 1")] = 1
    data_dir: Annotated[Path, file_path("a directory")] = Path("cdp-data")
    metrics_port: Annotated[int | None, whole(1, 65_535, "a port from 1 to 65535")] = None
    metrics_host: Annotated[str, text("an address or a host name")] = "0.0.0.0"
    clock: Annotated[Clock, one_of(Clock)] = "wall"
    grace: Annotated[int, milliseconds()] = 250
    guarantee: Annotated[Guarantee, one_of(Guarantee)] = "exactly-once"
    store: Annotated[Store, one_of(Store)] = "rocksdb"
    memory: Annotated[int, whole(1, 1_048_576, "MiB, from 1")] = 1024
    profile_size: Annotated[int, whole(16, 768, "KiB, from 16 to 768")] = 512
    log_level: Annotated[LogLevel, one_of(LogLevel)] = "info"
    log_format: Annotated[LogFormat | None, one_of(LogFormat)] = None
    session_timeout: Annotated[float, seconds()] = 10.0
    rebalance_timeout: Annotated[float, seconds()] = 30.0
    tls: Annotated[bool, yes_or_no()] = False
    tls_ca: Annotated[Path | None, file_path()] = None
    tls_certificate: Annotated[Path | None, file_path()] = None
    tls_key: Annotated[Path | None, file_path()] = None
    tls_key_password: Annotated[Secret | None, secret("a password")] = None
    sasl_mechanism: Annotated[SaslMechanism | None, one_of(SaslMechanism)] = None
    sasl_username: Annotated[str | None, text("a name")] = None
    sasl_password: Annotated[Secret | None, secret("a password")] = None
    sasl_password_file: Annotated[Path | None, file_path()] = None
    secret_names: Annotated[SecretNames, names_of_variables()] = USUAL
    allow_private: Annotated[bool, yes_or_no()] = True
    outputs_dir: Annotated[Path | None, file_path("a folder")] = None

    @property
    def row_limit(self) -> int:
        """Bytes at which a profile's row stops growing."""
        return self.profile_size * 1024

    def memory_for(self, what: Buffer) -> int:
        """Bytes that one buffer of a worker may take, of all partitions together."""
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


_CHECKS: dict[str, Check] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
}


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
    """Read all settings, check that they agree, and name the source of each.

    Raises:
        UsageError: As `gathered_settings`, or settings of TLS and SASL that do not fit each other.
    """
    settings, sources = gathered_settings(flags, environment, file)
    check_security(settings)
    return settings, sources


def row_limit(environment: Mapping[str, str], file: Path | None = None) -> int:
    """Bytes at which a profile's row stops growing, for commands without a broker: they evaluate as
    workers do, whatever the other settings are.

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
    """Read all settings, whether they agree or not, and name the source of each.

    Args:
        flags: Values given on the command line, by setting name; ``None`` means not given.
        environment: The process's environment.
        file: A ``cdp.toml``; one that does not exist counts as empty.

    Raises:
        UsageError: Unknown names, or values that do not fit their settings; all of them are named.
    """
    wrong: list[UsageError] = []
    from_file = _read_file(file, wrong)
    from_environment = _read_environment(environment, wrong)
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
    """Raise all that is wrong as one error, in one line."""
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        numbered = "; ".join(f"({number}) {one}" for number, one in enumerate(wrong, start=1))
        raise UsageError(f"{len(wrong)} settings are wrong: {numbered}")


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


def _read_environment(environment: Mapping[str, str], wrong: list[UsageError]) -> dict[str, str]:
    found = {}
    for variable, value in environment.items():
        is_ours = variable.startswith("CDP_") and not variable.startswith(_NOT_SETTINGS)
        if not is_ours or is_secret(variable):
            continue
        name = variable.removeprefix("CDP_").lower()
        if name in _CHECKS:
            found[name] = value
        else:
            likely = _likely(name, "CDP_")
            wrong.append(UsageError(f"{variable} is not a setting", f"unset it; {likely}"))
    return found


def _contents(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "correct or remove it") from error


def _read_file(file: Path | None, wrong: list[UsageError]) -> dict[str, Any]:
    found = {}
    for name, value in _contents(file).items():
        if name not in _CHECKS:
            wrong.append(UsageError(f"{file}: {name} is not a setting", _likely(name)))
        elif _CHECKS[name].is_secret:
            advice = f"set CDP_{name.upper()} in the environment"
            if name == "sasl_password":
                advice += ", or name a file with sasl_password_file"
            message = f"{file}: {name} does not belong into a file that is kept with others"
            wrong.append(UsageError(message, advice))
        else:
            found[name] = value
    return found


def _likely(name: str, prefix: str = "") -> str:
    """The setting that the name is a misspelling of, or all that there are."""
    near = get_close_matches(name, _CHECKS, 1)
    shown = sorted(prefix + (one.upper() if prefix else one) for one in near or _CHECKS)
    return f"did you mean {shown[0]}?" if near else f"settings are: {', '.join(shown)}"


def _checked(name: str, raw: object, source: str) -> object:
    check = _CHECKS[name]
    try:
        return check.read(raw)
    except (TypeError, ValueError, LookupError) as error:
        shown = "what it is set to" if check.is_secret else repr(raw)
        message = f"{name} ({source}): {shown} is not {check.wanted}"
        raise UsageError(message, "correct it") from error


def check_security(settings: Settings) -> None:
    """Refuse settings of TLS and SASL that would be ignored in silence, or that miss another.

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
