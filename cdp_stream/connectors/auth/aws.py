"""Requests to AWS, signed with Signature Version 4 by botocore at the instant that is given.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from pydantic import Field

from cdp_stream.connectors.exchange import Request
from cdp_stream.connectors.settings import HttpSettings, SecretStr

__all__ = ["AwsSettings", "signed"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class AwsSettings(HttpSettings):
    """Who signs, and where the service is."""

    region: str = Field(description="The AWS region, as `eu-west-1`.")
    access_key_id: str = Field(description="The access key's id.")
    secret_access_key: SecretStr = Field(description="The access key's secret.")
    session_token: SecretStr | None = Field(
        None, description="The session's token, with temporary credentials."
    )


def signed(request: Request, now: int, service: str, settings: AwsSettings) -> Request:
    """The request with its `authorization`, dated `now` (epoch ms).

    Args:
        service: as in the credential scope: `s3`, `firehose`.
    """
    from botocore import auth, awsrequest, credentials  # an extra: see `Connector.extra`

    stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    more = {"x-amz-date": stamp}
    if settings.session_token is not None:
        more["x-amz-security-token"] = settings.session_token.get_secret_value()
    if service == "s3":
        more["x-amz-content-sha256"] = sha256(request.body).hexdigest()
    keys = credentials.Credentials(
        settings.access_key_id, settings.secret_access_key.get_secret_value()
    )
    signer_class = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    signer = signer_class(keys, service, settings.region)
    # `add_auth` would read the clock by itself; its steps take the instant from the context.
    raw = awsrequest.AWSRequest(
        request.method, request.url, {**request.headers, **more}, request.body
    )
    raw.context["timestamp"] = stamp
    proof = signer.signature(signer.string_to_sign(raw, signer.canonical_request(raw)), raw)
    names = signer.signed_headers(signer.headers_to_sign(raw))
    more["authorization"] = (
        f"{_ALGORITHM} Credential={signer.scope(raw)}, SignedHeaders={names}, Signature={proof}"
    )
    return request.with_headers(**more)
