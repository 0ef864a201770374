"""Why a broker could not be connected to, and what to change.

aiokafka reports only that no address of the list worked. So the addresses are tried again one by
one, in the steps of a connection: reach it, agree on TLS, be accepted with a certificate, log in.
The first step that fails is the reason.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslHandShakeRequest

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.client_settings import client_settings, tls_context
from cdp_stream.kafka.clients.probe import parse_address
from cdp_stream.settings import Settings

__all__ = ["explain_no_connection"]

_STEP_S = 5.0
_HEARD_S = 0.5
_UNSUPPORTED_SASL_MECHANISM = 33

Reason = tuple[str, str]
"""What is wrong, and what to do next."""


async def explain_no_connection(settings: Settings) -> BrokerError:
    """The error for a user whose broker could not be connected to.

    Args:
        settings: The settings that were used.

    Returns:
        The error to raise: the first address with a clear reason decides.
    """
    for address in settings.brokers:
        host, port = parse_address(address)
        with contextlib.suppress(TimeoutError):
            reason = await _reason(settings, host, port)
            if reason is not None:
                what, next_step = reason
                return BrokerError(f"the broker at {address} {what}", next_step)
    return BrokerError(
        f"no Kafka broker answers at {settings.broker}",
        "start one (cdp broker is enough to try things out), or give its address with --broker",
    )


async def _reason(settings: Settings, host: str, port: int) -> Reason | None:
    """Which step fails at this address; ``None`` where the reason is not clear."""
    try:
        async with asyncio.timeout(_STEP_S):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return "has a name that is not known here", "check the name in --broker, and the DNS"
    except OSError:
        return None
    writer.close()
    if settings.tls:
        return await _tls_reason(settings, host, port) or await _login_reason(settings, host, port)
    if await _speaks_tls(host, port):
        return "speaks TLS, and tls is off", "set CDP_TLS=true, and CDP_TLS_CA if it needs one"
    return await _login_reason(settings, host, port)


async def _tls_reason(settings: Settings, host: str, port: int) -> Reason | None:
    context = tls_context(settings)
    assert context is not None
    try:
        async with _connected(host, port, context) as (reader, _):
            # A broker that wants another certificate of ours refuses after the handshake.
            async with asyncio.timeout(_HEARD_S):
                await reader.read(1)
    except TimeoutError:
        return None
    except ssl.SSLCertVerificationError as error:
        return _untrusted(settings, error)
    except ssl.SSLError as error:
        return _alert(settings, error.reason or "")
    except (ConnectionError, EOFError):
        return _NO_TLS
    return None


_NO_TLS = (
    "does not speak TLS, and tls is on",
    "name the address of its TLS listener, or set CDP_TLS=false",
)


def _untrusted(settings: Settings, error: ssl.SSLCertVerificationError) -> Reason:
    reason = error.verify_message or str(error)
    if "match" in reason:
        return (
            f"has a certificate for another host ({reason.rstrip('.')})",
            "name it in --broker as its certificate does, or give it one that has this name",
        )
    if "expired" in reason or "not yet valid" in reason:
        return f"has a certificate that cannot be used now: {reason}", "renew it; check the clock"
    return (
        f"has a certificate that {settings.tls_ca or 'this system'} does not vouch for: {reason}",
        "set CDP_TLS_CA to the file of the authority that signed it",
    )


def _alert(settings: Settings, reason: str) -> Reason:
    if "ALERT" not in reason:
        return _NO_TLS
    if settings.tls_certificate is None:
        return (
            "asks for a certificate of ours",
            "set CDP_TLS_CERTIFICATE and CDP_TLS_KEY to one that it trusts",
        )
    alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
    return (
        f"does not accept the certificate in {settings.tls_certificate}: {alert}",
        "use one that is signed by an authority which the broker trusts",
    )


async def _login_reason(settings: Settings, host: str, port: int) -> Reason | None:
    client = dict(client_settings(settings))
    del client["bootstrap_servers"]
    connection = AIOKafkaConnection(host, port, request_timeout_ms=int(_STEP_S * 1000), **client)
    try:
        await connection.connect()
        if settings.sasl_mechanism is None:
            return await _asked_for_login(connection)
    except SaslAuthenticationFailed:
        return (
            f"does not accept this name and password ({settings.sasl_mechanism}, "
            f"{settings.sasl_username})",
            "check CDP_SASL_USERNAME, and CDP_SASL_PASSWORD or the file that holds it",
        )
    except UnsupportedSaslMechanismError:
        return (
            f"does not log in by {settings.sasl_mechanism}",
            "set CDP_SASL_MECHANISM to one that its listener enables",
        )
    except IllegalSaslStateError:
        return (
            "asks for no login at this address, and sasl_mechanism is set",
            "name the address of its SASL listener, or unset CDP_SASL_MECHANISM",
        )
    except (KafkaError, OSError):
        return None
    finally:
        connection.close()
    return None


async def _asked_for_login(connection: AIOKafkaConnection) -> Reason | None:
    """What a listener answers to a login by no mechanism at all: those it knows, or an error."""
    answer = await connection.send(SaslHandShakeRequest("none"))
    if answer.error_code != _UNSUPPORTED_SASL_MECHANISM:
        return None
    return (
        f"asks for a login ({', '.join(sorted(answer.enabled_mechanisms))})",
        "set CDP_SASL_MECHANISM, CDP_SASL_USERNAME and CDP_SASL_PASSWORD",
    )


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a TLS handshake gets an answer; nothing is sent, so nobody has to be trusted."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        async with _connected(host, port, anyone):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, EOFError, TimeoutError):
        return False


@contextlib.asynccontextmanager
async def _connected(
    host: str, port: int, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(_STEP_S):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_HEARD_S):
                await writer.wait_closed()
