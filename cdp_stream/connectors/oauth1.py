"""Requests that are signed with OAuth 1.0a (HMAC-SHA1), at the instant that is given.

Source: RFC 5849, sections 3.4 and 3.5.1;
docs.x.com/fundamentals/authentication/oauth-1-0a/creating-a-signature.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlsplit

from cdp_stream.connectors.exchange import Request

__all__ = ["OAuthKeys", "oauth_header", "oauth_signature"]


@dataclass(frozen=True, slots=True)
class OAuthKeys:
    """An app's key and secret, and those of the user for whom it acts."""

    consumer_key: str
    consumer_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)


def oauth_header(request: Request, now: int, keys: OAuthKeys) -> str:
    """The `authorization` of a request whose body is no form, dated `now` (epoch ms).

    The nonce follows from the request and the instant.
    """
    seed = f"{now} {request.method} {request.url} ".encode() + request.body
    oauth = {
        "oauth_consumer_key": keys.consumer_key,
        "oauth_nonce": sha256(seed).hexdigest()[:32],
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(now // 1000),
        "oauth_token": keys.token,
        "oauth_version": "1.0",
    }
    oauth["oauth_signature"] = oauth_signature(
        request.method, request.url, oauth, keys.consumer_secret, keys.token_secret
    )
    said = ", ".join(f'{key}="{_quoted(value)}"' for key, value in sorted(oauth.items()))
    return f"OAuth {said}"


def oauth_signature(
    method: str, url: str, parameters: Mapping[str, str], secret: str, token_secret: str
) -> str:
    """The OAuth 1.0a signature (HMAC-SHA1) of a request whose body is no form.

    Args:
        parameters: of OAuth, and of a form if there is one; those of the query are in `url`.
    """
    parts = urlsplit(url)
    pairs = [*parameters.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    encoded = sorted((_quoted(key), _quoted(value)) for key, value in pairs)
    text = "&".join(f"{key}={value}" for key, value in encoded)
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    base = f"{method}&{_quoted(address)}&{_quoted(text)}"
    key = f"{_quoted(secret)}&{_quoted(token_secret)}"
    return b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="~")
