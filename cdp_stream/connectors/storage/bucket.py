"""A bucket of Amazon S3, or of a store with the same interface: objects are put there.

Source: docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and ErrorResponses.html.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final, TypeVar
from urllib.parse import quote

from pydantic import Field

from cdp_stream.connectors.auth.aws import AwsSettings, signed
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.connectors.storage.objects import ObjectGathering, gathering

__all__ = ["BucketConnector", "BucketSettings"]

_SIZE: Final = 32_000_000
_CODE: Final = re.compile(rb"<Code>(\w+)</Code>")
_PASSING: Final = frozenset(("RequestTimeout", "SlowDown", "InternalError", "OperationAborted"))


class BucketSettings(AwsSettings, ObjectGathering):
    """Which bucket."""

    bucket: str = Field(description="The bucket.")
    prefix: str = Field("", description="Prefix of every object's key, as `audiences/`.")


B = TypeVar("B", bound=BucketSettings)
C = TypeVar("C", bound=ConnectionSettings)


class BucketConnector(HttpConnector[B, C]):
    """Puts objects; each request is signed."""

    extra: ClassVar[str | None] = "aws"
    batching: ClassVar[Batching] = Batching(count=50_000, size=_SIZE, interval_ms=300_000)

    def __init__(self, output: str, settings: B) -> None:
        super().__init__(output, settings)
        self._gathering = gathering(settings, _SIZE)

    @property
    def gathering(self) -> Batching:
        """As the settings have it."""
        return self._gathering

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """Signed for this instant: AWS refuses what is older than a quarter of an hour."""
        return signed(request, now, "s3", self.settings)

    def put(self, key: str, body: bytes, headers: dict[str, str]) -> Delivery:
        """Put one object; it replaces the one with its key.

        Raises:
            Fault: it was refused.
        """
        settings = self.settings
        if settings.api_url:
            base = f"{settings.api_url.rstrip('/')}/{settings.bucket}"
        else:
            base = f"https://{settings.bucket}.s3.{settings.region}.amazonaws.com"
        url = f"{base}/{quote(settings.prefix + key, safe='/')}"
        answer = yield Request("PUT", url, body, headers)
        if not answer.ok:
            raise self._refused(answer)
        return Outcome()

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """Some errors that pass come with a status that usually does not."""
        if not answer.ok and _code(answer) in _PASSING:
            return TryAgain()
        return super().classify(request, answer)

    def _refused(self, answer: Answer) -> Fault:
        return Fault(
            "output",
            f"S3 refused an object for bucket {self.settings.bucket}: {answer.status} "
            f"{_code(answer) or answer.words()}; check the bucket, its region and the "
            f"credentials, then resume output {self.output}",
        )


def _code(answer: Answer) -> str:
    found = _CODE.search(answer.body)
    return found[1].decode() if found else ""
