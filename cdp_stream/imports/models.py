"""What the models of an imported definition are: the profile, or a kind of event.

Models are a customer's own tables, so their names are only likely; `--model NAME=SUBJECT` says
what one is.

Source: docs/importing.md, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdp_stream.core.model.subject import COMMERCE, CRASH, EVENT, SCREEN_VIEW, SESSION, SUBJECTS
from cdp_stream.definitions.account.subjects import ANY, COMMERCE_ACTIONS, LIFECYCLE, SESSION_ENDS
from cdp_stream.errors import UsageError

USER: Final = "user"


@dataclass(frozen=True, slots=True)
class EventModel:
    """Events of a kind (one of our subjects), all of them or those of a name."""

    kind: str
    name: str = ANY


_EVENTS = EventModel(EVENT)
_KNOWN: Final[dict[str, EventModel | None]] = {
    **dict.fromkeys(("user", "users", "profile", "profiles")),
    **dict.fromkeys(("event", "events", "custom_event", "custom_events"), _EVENTS),
    **dict.fromkeys(("screen_view", "screen_views"), EventModel(SCREEN_VIEW)),
    **dict.fromkeys(("commerce_event", "commerce_events", "ecommerce"), EventModel(COMMERCE)),
    "session_start": EventModel(SESSION, "start"),
    "session_end": EventModel(SESSION, "end"),
    **dict.fromkeys(("crash_report", "crash_reports"), EventModel(CRASH)),
}
"""None is the profile."""


class Models:
    """Knows what each model is.

    Attributes:
        guessed: models without a given subject, and the subject that was assumed.
    """

    def __init__(self, named: Mapping[str, EventModel | None]) -> None:
        self._named = named
        self.guessed: dict[str, EventModel] = {}

    def of(self, model: str) -> EventModel | None:
        """What the model is; None for the profile. An unknown one is custom events of its name."""
        for known in (self._named, _KNOWN):
            if model in known:
                return known[model]
        return self.guessed.setdefault(model, EventModel(EVENT, model))


def model_of(text: str) -> tuple[str, EventModel | None]:
    """The model and what it is, of `orders=commerce:purchase` or `people=user`.

    Raises:
        UsageError: it is of no such form, or names no subject.
    """
    model, _, meaning = text.partition("=")
    kind, _, name = meaning.partition(":")
    if model and meaning == USER:
        return model, None
    choices = {COMMERCE: (*COMMERCE_ACTIONS, ANY), SESSION: SESSION_ENDS}.get(kind)
    if not model or kind not in SUBJECTS or (kind in LIFECYCLE and name not in {"", ANY}):
        subjects = ", ".join((USER, *SUBJECTS))
        raise UsageError(
            f"--model {text}: this names no subject",
            f"write NAME=SUBJECT, as orders=commerce:purchase; subjects: {subjects}",
        )
    if choices is not None and (name or ANY) not in choices:
        raise UsageError(
            f"--model {text}: `{name}` is not a valid {kind}", f"one of {', '.join(choices)}"
        )
    return model, EventModel(kind, name or ANY)
