"""Apache Kafka that lets nobody in who does not prove who he is: a listener for each way to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.clients.probe import free_port

USER = "cdp"
PASSWORD = "not-to-be-told ~!$%"
KEY_PASSWORD = "of the key alone"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PROTOCOLS = {
    "tls": "SSL",
    "mutual": "SSL",  # and a certificate of the client is required
    "login": "SASL_SSL",
    "clear": "SASL_PLAINTEXT",
}
_LOGIN_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class GuardedKafka:
    """A running broker, its addresses, and the files by which it is reached.

    Attributes:
        internal: Its address without TLS or login, ``host:port``, for what is not under test.
        addresses: Its address by the name of a listener; certificates are for ``localhost``.
        files: The directory with certificates, keys and passwords.
    """

    internal: str
    addresses: dict[str, str]
    files: Path

    def file(self, name: str) -> str:
        return str(self.files / name)

    def flags(self, listener: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
        """The settings that get one in."""
        found: dict[str, Any] = {"broker": self.addresses[listener]}
        if listener != "clear":
            found |= {"tls": "true", "tls_ca": self.file("ca.pem")}
        if listener == "mutual":
            found |= {
                "tls_certificate": self.file("client.pem"),
                "tls_key": self.file("client-key.pem"),
            }
        if listener in ("login", "clear"):
            found |= {
                "sasl_mechanism": mechanism,
                "sasl_username": USER,
                "sasl_password_file": self.file("password"),
            }
        return found


@contextmanager
def running_guarded_kafka(files: Path) -> Iterator[GuardedKafka]:
    ca = trustme.CA()
    write_identity(ca, files, "broker", "localhost")
    write_identity(ca, files, "client", "worker.cdp.example")
    stranger = trustme.CA()
    stranger.cert_pem.write_to_path(str(files / "stranger-ca.pem"))
    write_identity(stranger, files, "stranger", "worker.cdp.example")
    ca.cert_pem.write_to_path(str(files / "ca.pem"))
    (files / "password").write_text(PASSWORD + "\n")
    addresses = {name: f"localhost:{free_port()}" for name in _PROTOCOLS}
    kafka = ApacheKafka(
        resolve_jars(),
        is_brief=True,
        settings=_settings(files),
        listeners={name.upper(): address for name, address in addresses.items()},
        layout=[
            f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]"
            for mechanism in MECHANISMS[1:]
        ],
    )
    with kafka:
        yield GuardedKafka(kafka.bootstrap, addresses, files)


def write_identity(ca: trustme.CA, files: Path, name: str, host: str) -> None:
    """Certificate and key, in files of their own and together, the key in PKCS #8 as Java asks."""
    issued = ca.issue_cert(host)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    plain = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    locked = key.private_bytes(
        pem, pkcs8, serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
    )
    certificate = b"".join(part.bytes() for part in issued.cert_chain_pems)
    (files / f"{name}.pem").write_bytes(certificate)
    (files / f"{name}-key.pem").write_bytes(plain)
    (files / f"{name}-locked-key.pem").write_bytes(locked)
    (files / f"{name}-both.pem").write_bytes(plain + certificate)


def _settings(files: Path) -> dict[str, str]:
    protocols = [f"{name.upper()}:{protocol}" for name, protocol in _PROTOCOLS.items()]
    settings = {
        "listener.security.protocol.map": ",".join(
            ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *protocols]
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files / "broker-both.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for listener in ("login", "clear"):
        of = f"listener.name.{listener}"
        settings[f"{of}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        settings[f"{of}.plain.sasl.jaas.config"] = (
            f'{_LOGIN_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        )
        for mechanism in MECHANISMS[1:]:
            settings[f"{of}.{mechanism.lower()}.sasl.jaas.config"] = (
                f"{_LOGIN_MODULES}.scram.ScramLoginModule required;"
            )
    return settings
