"""Settings of outputs and connections: typed, checked with the definitions, secrets marked.

A field of type `SecretStr` is a secret: in the definitions it must be written as `${NAME}`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, ClassVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
)

from cdp_stream.core.identity_types import IDENTITY_TYPES, one_spelling
from cdp_stream.core.model.durations import duration_ms

__all__ = [
    "ConnectionSettings", "Duration", "HttpSettings", "IdentityType", "OutputSettings", "PartnerId",
    "SecretStr", "WebAddress", "secret_fields",
]  # fmt: skip


def _as_text(value: object) -> object:
    return str(value) if type(value) is int else value


PartnerId = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[^\s/?#&%]+$")]
"""An id at a partner, fit for an address: text, though it may be written as the number that
it looks like.
"""


def _above_zero(text: str) -> str:
    if not duration_ms(text):
        raise ValueError(
            "this is not a duration above 0; write a whole number and one of `ms s m h d w`, as "
            "`10m`"
        )
    return text


def _of_the_web(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError(
            "this is not the address of a web server; write one that begins with https:// or http://"
        )
    return text


def _known_type(text: str) -> str:
    spelling = one_spelling(text)
    if spelling not in IDENTITY_TYPES:
        near = get_close_matches(spelling, IDENTITY_TYPES, n=1)
        advice = f"did you mean `{near[0]}`?" if near else "write one as `email` or `customer_id`"
        raise ValueError(f"this is not a valid identity type; {advice}")
    return spelling


IdentityType = Annotated[str, AfterValidator(_known_type)]
"""The type of an identity, in any of its spellings."""

WebAddress = Annotated[str, AfterValidator(_of_the_web)]
"""An address of an HTTP API."""

Duration = Annotated[str, AfterValidator(_above_zero)]
"""A length of time as text, above 0."""


class _Settings(BaseModel):
    """Unknown keys are refused, values are not coerced from other types, nothing changes later."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )


class ConnectionSettings(_Settings):
    """The settings of a connection for its output's connector; none by default."""


class OutputSettings(_Settings):
    """The settings of every output."""

    retry_for: Duration = Field("10m", description="How long a change is retried, as a duration.")


class HttpSettings(OutputSettings):
    """The settings of every output over HTTP, besides."""

    api_url: WebAddress | None = Field(
        None, description="The partner's address, if it is not the default."
    )
    allow_private: bool = Field(
        False, description="Whether addresses inside our own network may be called."
    )
    timeout: Duration = Field("30s", description="Time limit of an answer, as a duration.")
    max_connections: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Maximum number of concurrent requests; default: the connector's.",
    )
    requests_per_second: float | None = Field(
        None, gt=0, description="Maximum number of requests per second; default: the connector's."
    )


def secret_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the fields that are secrets."""
    return frozenset(
        name for name, field in model.model_fields.items() if _is_secret(field.annotation)
    )


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
