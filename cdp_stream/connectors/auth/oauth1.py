"""Signs requests with OAuth 1.0a (HMAC-SHA1), for the instant that it is given.

Source: RFC 5849; docs.x.com/fundamentals/authentication/oauth-1-0a/creating-a-signature.
"""

from __future__ import annotations

from hashlib import sha256

from oauthlib.oauth1 import Client

from cdp_stream.connectors.exchange import Request

__all__ = ["oauth_header"]


def oauth_header(request: Request, now: int, app: tuple[str, str], user: tuple[str, str]) -> str:
    """The `authorization` of a request whose body is no form, dated `now` (epoch ms).

    The nonce follows from the request and the instant.

    Args:
        app: the app's key and secret.
        user: token and secret of the user that the app acts for.
    """
    seed = f"{now} {request.method} {request.url} ".encode() + request.body
    nonce, timestamp = sha256(seed).hexdigest()[:32], str(now // 1000)
    client = Client(*app, *user, nonce=nonce, timestamp=timestamp)
    _url, headers, _body = client.sign(request.url, request.method)
    return str(headers["Authorization"])
