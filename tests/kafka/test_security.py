"""TLS and SASL, against Apache Kafka that demands them: who gets in, and what others are told."""

import asyncio
import signal
import sys

import pytest

from cdp_stream.errors import BrokerError, DiskError, UsageError
from cdp_stream.kafka.clients.client_settings import client_settings, sasl_password, tls_context
from cdp_stream.kafka.produce import publish_lines, publisher
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import load_settings
from tests.brokers.guarded import KEY_PASSWORD, MECHANISMS, PASSWORD
from tests.docs.console import ROOT
from tests.topologies.running import eventually, running

WAYS = [
    ("tls", "PLAIN"),
    ("mutual", "PLAIN"),
    *(("login", mechanism) for mechanism in MECHANISMS),
    *(("clear", mechanism) for mechanism in MECHANISMS),
]
LINE = b'{"mpid":"1","timestamp_unixtime_ms":1,"events":[]}'


def settings_of(flags, **others):
    return load_settings(flags | others, {})[0]


@pytest.mark.kafka
@pytest.mark.parametrize(("listener", "mechanism"), WAYS)
async def test_who_proves_himself_creates_topics_writes_and_reads(
    guarded_kafka, topic_prefix, listener, mechanism
):
    settings = settings_of(guarded_kafka.flags(listener, mechanism), prefix=topic_prefix)
    async with publisher(settings) as to:
        published = await publish_lines(to, iter([LINE, LINE]))
    assert published.records == 2
    read = []
    await read_to_end(
        client_settings(settings),
        settings.topic("events"),
        range(4),
        lambda _, records: read.extend(record.value for record in records),
    )
    assert read == [LINE, LINE]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("certificate", "key", "password"),
    [("client-both.pem", None, None), ("client.pem", "client-locked-key.pem", KEY_PASSWORD)],
)
async def test_the_key_may_be_in_the_certificates_file_or_locked(
    guarded_kafka, topic_prefix, certificate, key, password
):
    flags = guarded_kafka.flags("mutual") | {
        "prefix": topic_prefix,
        "tls_certificate": guarded_kafka.file(certificate),
        "tls_key": key and guarded_kafka.file(key),
        "tls_key_password": password,
    }
    assert await ensure_topics(settings_of(flags)) == 4


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(
    ("listener", "guarantee"),
    [("login", "exactly-once"), ("login", "at-least-once"), ("mutual", "exactly-once"),
     ("mutual", "at-least-once")],
)  # fmt: skip
async def test_every_client_of_a_worker_gets_in_and_none_tells_the_password(
    guarded_kafka, topic_prefix, tmp_path, listener, guarantee
):
    inside = settings_of({"broker": guarded_kafka.internal, "prefix": topic_prefix})
    with running(inside, tmp_path) as ran:
        await ran.create_topics()
        await ran.produce([(n % 4, b"key-%d" % n, b"value") for n in range(100)])
        worker = ran.start_worker(
            **guarded_kafka.flags(listener), guarantee=guarantee, log_level="debug", store="memory"
        )
        await eventually(lambda: ran.caught_up(100))
        assert sum((await ran.values()).values()) == 100
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait, 30) == 0
        told = ran.log_of(worker)
        assert '"worker_starting"' in told
        assert PASSWORD not in told


def wrong(files, flags):
    """What is wrong with settings, and what a user is to be told of it."""
    tls, mutual, login, clear = flags("tls"), flags("mutual"), flags("login"), flags("clear")
    bare = {"broker": None}
    return {
        "another authority": (
            tls | {"tls_ca": files("stranger-ca.pem")},
            "has a certificate that .*stranger-ca.pem does not vouch for",
        ),
        "the system's authorities": (
            tls | {"tls_ca": None},
            "has a certificate that this system does not vouch for.*set CDP_TLS_CA",
        ),
        "another host": (
            tls | {"broker": tls["broker"].replace("localhost", "127.0.0.1")},
            "has a certificate for another host",
        ),
        "no TLS to a TLS port": (bare | {"broker": tls["broker"]}, "speaks TLS, and tls is off"),
        "no TLS to a port with login": (
            login | {"tls": "false", "tls_ca": None}, "speaks TLS, and tls is off",
        ),
        "TLS to a port without": (
            tls | {"broker": clear["broker"]}, "does not speak TLS, and tls is on",
        ),
        "no certificate": (tls | {"broker": mutual["broker"]}, "asks for a certificate of ours"),
        "a stranger's certificate": (
            mutual | {"tls_certificate": files("stranger-both.pem"), "tls_key": None},
            "does not accept the certificate in .*stranger-both.pem",
        ),
        "no login": (
            tls | {"broker": login["broker"]},
            "asks for a login .PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.",
        ),
        "no login, in clear": (bare | {"broker": clear["broker"]}, "asks for a login"),
        "a login to a port without": (
            login | {"broker": tls["broker"]}, "asks for no login at this address",
        ),
        **{
            f"a wrong password by {mechanism}": (
                flags("login", mechanism) | {"sasl_password_file": files("client.pem")},
                f"does not accept this name and password .{mechanism}, cdp.",
            )
            for mechanism in MECHANISMS
        },
        "an unknown name": (
            login | {"sasl_username": "nobody"}, "does not accept this name and password",
        ),
        "nobody there": (tls | {"broker": "localhost:1"}, "no Kafka broker answers at localhost:1"),
        "an unknown host": (
            tls | {"broker": "kafka.invalid:9092"}, "has a name that is not known",
        ),
    }  # fmt: skip


@pytest.mark.kafka
@pytest.mark.parametrize("what", list(wrong(str, lambda *_: {"broker": "localhost:9"})))
async def test_who_is_not_let_in_is_told_why(guarded_kafka, topic_prefix, what):
    flags, message = wrong(guarded_kafka.file, guarded_kafka.flags)[what]
    settings = settings_of(flags, prefix=topic_prefix)
    with pytest.raises(BrokerError, match=message) as told:
        await ensure_topics(settings)
    assert told.value.exit_code == 3
    assert told.value.next_step
    assert PASSWORD not in str(told.value)


@pytest.mark.kafka
async def test_a_command_that_is_not_let_in_says_so_in_one_line_and_exits_3(
    guarded_kafka, tmp_path
):
    (tmp_path / "events.ndjson").write_bytes(LINE + b"\n")
    flags = guarded_kafka.flags("login") | {"sasl_password_file": None}
    environment = {f"CDP_{k.upper()}": v for k, v in flags.items() if v is not None}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cdp_stream", "produce", "--events", "events.ndjson",
        cwd=tmp_path, env={**environment, "CDP_SASL_PASSWORD": "hunter2", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    assert (process.returncode, out) == (3, b"")
    assert error.decode().splitlines() == [
        f"cdp: the broker at {flags['broker']} does not accept this name and password "
        "(SCRAM-SHA-512, cdp); check CDP_SASL_USERNAME, and CDP_SASL_PASSWORD or the file that "
        "holds it"
    ]


# -- files, without a broker -----------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path):
    login = {"sasl_mechanism": "PLAIN", "sasl_username": "cdp"}
    with pytest.raises(DiskError, match=r"^sasl_password_file: .*no-file cannot be read"):
        sasl_password(settings_of(login, sasl_password_file=str(tmp_path / "no-file")))
    for name in ("tls_ca", "tls_certificate"):
        with pytest.raises(DiskError, match=rf"^{name}: .*no-file cannot be read"):
            tls_context(settings_of({"tls": "true", name: str(tmp_path / "no-file")}))


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    other = tmp_path / "other"
    other.write_text("no certificate\n")
    with pytest.raises(UsageError, match="holds no certificate"):
        tls_context(settings_of({"tls": "true", "tls_ca": str(other)}))
    with pytest.raises(UsageError, match="and its key cannot be used"):
        tls_context(settings_of({"tls": "true", "tls_certificate": str(other)}))
    other.write_text("\n")
    login = {"sasl_mechanism": "PLAIN", "sasl_username": "cdp", "sasl_password_file": str(other)}
    with pytest.raises(UsageError, match="is empty"):
        sasl_password(settings_of(login))


def test_a_host_name_is_always_checked(tmp_path):
    context = tls_context(settings_of({"tls": "true"}))
    assert context is not None
    assert context.check_hostname
