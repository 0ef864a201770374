"""A topic of another Kafka cluster: the messages as they are, keyed by mpid.

Source: docs/connectors/kafka.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings, SecretStr
from cdp_stream.errors import UsageError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["KafkaConnector", "KafkaSettings"]

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a record: the broker's own limit decides."""

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaSettings(OutputSettings):
    """A cluster, how it is connected to, and a topic."""

    broker: str = Field(description="`HOST:PORT`, several with commas.")
    topic: str = Field(min_length=1, description="The topic; it must exist.")
    tls: bool = Field(False, description="Whether the connection is encrypted.")
    tls_ca: str | None = Field(
        None, description="File of the authority that signed the brokers' certificates, in PEM."
    )
    tls_certificate: str | None = Field(None, description="File of our certificate, in PEM.")
    tls_key: str | None = Field(
        None, description="File of its key, if it is not in the certificate's file."
    )
    tls_key_password: SecretStr | None = Field(None, description="The password of that key.")
    sasl_mechanism: Mechanism | None = Field(
        None, description="`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`, to log in."
    )
    sasl_username: str | None = Field(None, description="The user name.")
    sasl_password: SecretStr | None = Field(None, description="The password.")


class KafkaConnector(LocalConnector[KafkaSettings, ConnectionSettings]):
    """Writes each message with the mpid as its key, so a profile's changes stay in order; the
    deletion of an audience has the connection's id as its key.
    """

    name = "kafka"
    title = "Apache Kafka"
    summary = "Writes changes to a topic of another Kafka cluster."
    output_settings = KafkaSettings
    takes_attributes = True
    pattern = "stream"
    on_audience_delete = "pass"
    batching = Batching(count=5_000, interval_ms=50, per_connection=False)

    def __init__(self, output: str, settings: KafkaSettings) -> None:
        super().__init__(output, settings)
        if settings.sasl_mechanism and not (settings.sasl_username and settings.sasl_password):
            raise UsageError(
                f"output {output}: sasl_mechanism is set, but not who logs in",
                "set sasl_username and sasl_password too",
            )
        if not settings.tls and (settings.tls_ca or settings.tls_certificate):
            raise UsageError(
                f"output {output}: certificates are set, but tls is not", "set `tls: true`"
            )
        self._producer: AIOKafkaProducer | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of certificates."""
        settings = self.settings
        named = (settings.tls_ca, settings.tls_certificate, settings.tls_key)
        return tuple(Path(one) for one in named if one is not None)

    @property
    def hosts(self) -> tuple[str | None, ...]:
        """The brokers to begin with; they name others."""
        addresses = (one.strip() for one in self.settings.broker.split(","))
        return tuple(one.rpartition(":")[0].strip("[]") or one for one in addresses)

    async def open(self, directory: Path) -> None:
        """Connect, and see whether the topic is there."""
        await self._started()

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        """Every replica that is in step has them when it returns."""
        failed = await self._sent(changes, range(len(changes)))
        if not failed:
            return Outcome()
        if not any(map(_is_too_large, failed.values())):
            raise self._error_of(next(iter(failed.values())))
        # The limit is on what is sent together: the rest are sent one by one.
        rejected: dict[int, str] = {}
        for place in failed:
            for error in (await self._sent(changes, [place])).values():
                if not _is_too_large(error):
                    raise self._error_of(error)
                rejected[place] = f"the broker accepts no record this large: {error}"
        return Outcome(rejected)

    async def close(self) -> None:
        """Disconnect from the cluster."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _sent(
        self, changes: Sequence[OutputChange[ConnectionSettings]], places: Sequence[int]
    ) -> dict[int, BaseException]:
        """Send some changes; place -> why, of those that did not arrive."""
        from aiokafka.errors import KafkaError

        producer = await self._started()
        sent: dict[int, Any] = {}
        failed: dict[int, BaseException] = {}
        for place in places:
            change = changes[place]
            key = (change.mpid or change.connection).encode()
            try:
                sent[place] = await producer.send(self.settings.topic, change.json(), key=key)
            except (KafkaError, OSError) as error:
                failed[place] = error
                break
        results = await asyncio.gather(*sent.values(), return_exceptions=True)
        for place, result in zip(sent, results, strict=True):
            if isinstance(result, BaseException):
                failed[place] = result
        left = (place for place in places if place not in sent)
        failed |= {place: next(iter(failed.values())) for place in left if place not in failed}
        if failed or _has_counted_far(producer):
            # What came behind a record that failed was refused with it; a new producer begins a new
            # sequence, and nothing gets in out of order.
            await self.close()
        return dict(sorted(failed.items()))

    async def _started(self) -> AIOKafkaProducer:
        from aiokafka import errors

        if self._producer is not None:
            return self._producer
        connection = self._connection()
        try:
            # Some brokers know no idempotent producers. One batch of a partition is on its way at a
            # time in any case, so order holds without it; a repetition may then be written twice.
            try:
                self._producer = await self._new_producer(connection, idempotent=True)
            except (errors.UnknownError, errors.UnsupportedVersionError):
                self._producer = await self._new_producer(connection, idempotent=False)
        except (errors.KafkaError, OSError, ValueError) as error:  # also an address that is none
            raise self._error_of(error) from error
        return self._producer

    async def _new_producer(
        self, connection: dict[str, Any], *, idempotent: bool
    ) -> AIOKafkaProducer:
        """A producer that has begun, and has found the topic."""
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(
            **connection,
            acks="all",
            enable_idempotence=idempotent,
            linger_ms=5,
            max_batch_size=512 * 1024,
            max_request_size=_MOST_BYTES,
            request_timeout_ms=20_000,
        )
        try:
            await producer.start()
            await producer.partitions_for(self.settings.topic)
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _error_of(self, error: BaseException) -> Exception:
        """What went wrong, as an error that may pass, or as a fault."""
        from aiokafka import errors

        words = " ".join(str(error).split()) or type(error).__name__
        lasting = (
            errors.AuthenticationFailedError,
            errors.TopicAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.SaslAuthenticationFailed,
            errors.UnsupportedSaslMechanismError,
            errors.UnknownTopicOrPartitionError,
            errors.InvalidTopicError,
        )
        if isinstance(error, lasting):
            return Fault(
                "output",
                f"Kafka at {self.settings.broker} refused, topic {self.settings.topic}: {words}; "
                f"repair it, then resume output {self.output}",
            )
        return OSError(f"Kafka at {self.settings.broker}: {words}")

    def _connection(self) -> dict[str, Any]:
        settings = self.settings
        login: dict[str, Any] = {}
        if settings.sasl_mechanism is not None and settings.sasl_password is not None:
            login = {
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.sasl_username,
                "sasl_plain_password": settings.sasl_password.get_secret_value(),
            }
        ways = {(False, False): "PLAINTEXT", (True, False): "SSL"}
        ways |= {(False, True): "SASL_PLAINTEXT", (True, True): "SASL_SSL"}
        return {
            "bootstrap_servers": [one.strip() for one in settings.broker.split(",")],
            "client_id": f"cdp-stream-{self.output}",
            "security_protocol": ways[settings.tls, bool(login)],
            "ssl_context": self._tls() if settings.tls else None,
            **login,
        }

    def _tls(self) -> ssl.SSLContext:
        """Whom we trust, and who we are; the brokers' names are always checked."""
        settings = self.settings
        try:
            context = ssl.create_default_context(cafile=settings.tls_ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if settings.tls_certificate is not None:
                secret = settings.tls_key_password
                # An empty text if there is none: without it OpenSSL prompts on the terminal.
                password = "" if secret is None else secret.get_secret_value()
                context.load_cert_chain(settings.tls_certificate, settings.tls_key, password)
        except (OSError, ValueError) as error:
            raise Fault(
                "output",
                f"the certificates of output {self.output} cannot be used: {error}; name files in "
                "PEM form that the worker may read, then resume it",
            ) from error
        return context


def _has_counted_far(producer: AIOKafkaProducer) -> bool:
    """Whether a partition has got a billion records: at 2**31 Kafka counts on from 0 and aiokafka
    from -2**31, which no broker accepts.
    """
    manager = producer._txn_manager
    return manager is not None and max(manager._sequence_numbers.values(), default=0) > 2**30


def _is_too_large(error: BaseException) -> bool:
    from aiokafka.errors import MessageSizeTooLargeError

    return isinstance(error, MessageSizeTooLargeError)
