"""How every client connects to Kafka: addresses, TLS, login.

One place reads the settings, for aiokafka's clients and for Faust's, so that none is forgotten.
With TLS the broker's certificate and its host name are always checked. The password is read here,
and goes nowhere but to the client.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdp_stream.errors import DiskError, UsageError
from cdp_stream.settings import Settings

__all__ = ["client_settings", "sasl_password", "tls_context"]


def client_settings(settings: Settings) -> Mapping[str, Any]:
    """The arguments by which each of aiokafka's clients connects.

    Raises:
        DiskError: A file of certificates, or that of the password, cannot be read.
        UsageError: A file does not contain what it should.
    """
    login: dict[str, Any] = {}
    if settings.sasl_mechanism is not None:
        login = {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": sasl_password(settings),
        }
    return {
        "bootstrap_servers": settings.brokers,
        "client_id": settings.group_id,
        "security_protocol": _protocol(settings),
        "ssl_context": tls_context(settings),
        **login,
    }


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Trusted authorities and our own certificate; ``None`` without TLS.

    Raises:
        DiskError: A file cannot be read.
        UsageError: A file has no certificate, or a key that does not belong to it.
    """
    if not settings.tls:
        return None
    context = ssl.create_default_context()
    if settings.tls_ca is not None:
        # These authorities alone: a public one must not be able to vouch for an internal broker.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=_text_of("tls_ca", settings.tls_ca))
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"tls_ca: {settings.tls_ca} holds no certificate in PEM form",
                "name the file of the authority that signed the brokers' certificates",
            ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_certificate is not None:
        _present(context, settings, settings.tls_certificate)
    return context


def sasl_password(settings: Settings) -> str:
    """The password, from the environment or from its file; a line end behind it is not part of it.

    Raises:
        DiskError: The file cannot be read.
        UsageError: It is empty.
    """
    if settings.sasl_password is not None:
        return settings.sasl_password.reveal()
    file = settings.sasl_password_file
    assert file is not None, "settings with a mechanism have a password"
    password = _text_of("sasl_password_file", file).rstrip("\r\n")
    if not password:
        raise UsageError(f"sasl_password_file: {file} is empty", "write the password into it")
    return password


def _protocol(settings: Settings) -> str:
    if settings.sasl_mechanism is None:
        return "SSL" if settings.tls else "PLAINTEXT"
    return "SASL_SSL" if settings.tls else "SASL_PLAINTEXT"


def _present(context: ssl.SSLContext, settings: Settings, certificate: Path) -> None:
    """Load the client's own certificate and key."""
    _text_of("tls_certificate", certificate)
    if settings.tls_key is not None:
        _text_of("tls_key", settings.tls_key)
    secret = settings.tls_key_password
    # Never None: then OpenSSL would ask on the terminal for the password of an encrypted key.
    password = "" if secret is None else secret.reveal()
    try:
        context.load_cert_chain(certificate, settings.tls_key, password)
    except ssl.SSLError as error:
        raise UsageError(
            f"tls_certificate: {certificate} and its key cannot be used: "
            f"{(error.reason or str(error)).lower().replace('_', ' ')}",
            "name a certificate and the key that belongs to it, in PEM form; the password of an "
            "encrypted key goes into CDP_TLS_KEY_PASSWORD",
        ) from error


def _text_of(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"{name}: {file} cannot be read: {error.strerror}", "check its path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: {file} is not a text", "name a file in PEM form") from error
