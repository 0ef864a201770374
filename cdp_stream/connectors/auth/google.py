"""Access to Google's APIs: a service account or a user's refresh token becomes an access token.

google-auth signs the assertion; it opens no connection: the exchange is a request like any other.

Source: developers.google.com/identity/protocols/oauth2/service-account (HTTP/REST) and
developers.google.com/identity/protocols/oauth2/web-server#offline
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final, TypeVar

from pydantic import Field

from cdp_stream.connectors.calls import form_request, refreshed
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Answer, Fault, Request, Token, TokenFetch, TryAgain
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr
from cdp_stream.errors import UsageError

__all__ = ["GoogleConnector", "GoogleSettings", "reasons", "violations"]

_TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
_ASSERTION: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S: Final = 3600
_FORBIDDEN: Final = 403
_RATES: Final = frozenset(
    ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED")
)


class GoogleSettings(HttpSettings):
    """A service account's key, or an OAuth client with a refresh token."""

    service_account: SecretStr | None = Field(
        None, description="The key of a service account: the whole JSON file."
    )
    client_id: str | None = Field(None, description="The OAuth client's id.")
    client_secret: SecretStr | None = Field(None, description="The OAuth client's secret.")
    refresh_token: SecretStr | None = Field(
        None, description="The refresh token of the OAuth client."
    )
    token_url: str | None = Field(
        None, description="The address of the token endpoint, if it is not the default."
    )


G = TypeVar("G", bound=GoogleSettings)
C = TypeVar("C", bound=ConnectionSettings)


class GoogleConnector(HttpConnector[G, C]):
    """Fetches tokens and sends them as bearer tokens.

    Attributes:
        scope: what the token is requested for.
    """

    scope: ClassVar[str]
    extra: ClassVar[str | None] = "google"

    def __init__(self, output: str, settings: G) -> None:
        super().__init__(output, settings)
        self._key: dict[str, Any] = {}
        self._signer: Any = None
        if settings.service_account is not None:
            self._read_key(settings.service_account.get_secret_value())
        elif not (settings.client_id and settings.client_secret and settings.refresh_token):
            raise UsageError(
                f"output {output}: no credentials for {self.title}",
                "set service_account, or client_id, client_secret and refresh_token",
            )

    def _read_key(self, text: str) -> None:
        from google.auth import crypt  # an extra: see `Connector.extra`

        try:
            self._key = json.loads(text)
            self._signer = crypt.RSASigner.from_service_account_info(  # type: ignore[no-untyped-call]
                self._key
            )
            self._key["client_email"]
        except (ValueError, KeyError, TypeError):
            # Not chained: what could not be read is the secret.
            raise UsageError(
                f"output {self.output}: service_account is not the key of a service account",
                "give the whole JSON file that the Google Cloud console made",
            ) from None

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """With the bearer token."""
        return request.with_headers(authorization=f"Bearer {token.value}") if token else request

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """Some of Google's APIs answer 403 when a rate is exceeded."""
        if answer.status == _FORBIDDEN and reasons(answer)[1] & _RATES:
            return TryAgain()
        return super().classify(request, answer)

    def fetch_token(self, now: int) -> TokenFetch:
        """Exchange the signed assertion, or the refresh token, for an access token."""
        cure = f"check the credentials of output {self.output}, then resume it"
        return refreshed("Google", self._token_request(now), now, cure)

    def _token_request(self, now: int) -> Request:
        settings = self.settings
        if self._signer is not None:
            url = settings.token_url or self._key.get("token_uri") or _TOKEN_URL
            form = {"grant_type": _ASSERTION, "assertion": self._assertion(url, now // 1000)}
        else:
            assert settings.client_secret is not None
            assert settings.refresh_token is not None
            url = settings.token_url or _TOKEN_URL
            form = {
                "grant_type": "refresh_token",
                "client_id": settings.client_id or "",
                "client_secret": settings.client_secret.get_secret_value(),
                "refresh_token": settings.refresh_token.get_secret_value(),
            }
        return form_request(url, form)

    def _assertion(self, audience: str, now_s: int) -> str:
        from google.auth import jwt  # an extra

        claims = {
            "iss": self._key["client_email"],
            "scope": self.scope,
            "aud": audience,
            "iat": now_s,
            "exp": now_s + _LIFE_S,
        }
        return str(jwt.encode(self._signer, claims).decode())  # type: ignore[no-untyped-call]


def reasons(answer: Answer) -> tuple[str, frozenset[str]]:
    """The message and every `reason` and `status` of an error as Google's APIs word it."""
    message = answer.at("error", "message")
    if not isinstance(message, str):
        return answer.words(), frozenset()
    found = [answer.at("error", "status")]
    for part in answer.objects("error", "errors") + answer.objects("error", "details"):
        found.append(part.get("reason"))
        found += [one.get("reason") for one in violations(part)]
    named = frozenset(one for one in found if isinstance(one, str))
    return " ".join(f"{answer.status} {message} ({', '.join(sorted(named))})".split()), named


def violations(detail: dict[str, Any]) -> list[dict[str, Any]]:
    """The violations that a detail of an error names, if it does."""
    found = detail.get("fieldViolations")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
