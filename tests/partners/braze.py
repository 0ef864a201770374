"""Braze: users and their attributes."""

from __future__ import annotations

from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

IDENTIFIERS = ("external_id", "email", "phone")


class Braze(Partner):
    """Holds users by one kind of identifier.

    Attributes:
        users: identifier -> attributes.
        date, reset: what the headers of a throttled answer say, epoch s.
    """

    def __init__(self, key: str, identifier: str, users: list[str]) -> None:
        super().__init__()
        self.key = key
        self.identifier = identifier
        self.users: dict[str, dict[str, Any]] = {user: {} for user in users}

    def authorize(self, request: Served) -> None:
        """A bearer."""
        right = request.headers.get("authorization") == f"Bearer {self.key}"
        demand(right, 401, {"message": "Error authenticating credentials"})

    def too_many(self, wait: float) -> Answer:
        """Braze says when the window ends, and no `Retry-After`."""
        return json_answer(
            429,
            {"message": "Maximum number of requests exceeded"},
            date="Fri, 01 Aug 2025 12:00:00 GMT",
            x_ratelimit_reset=f"{1_754_049_600 + wait}",
        )

    def handle(self, request: Served) -> Answer:
        """`/users/track`."""
        demand((request.method, request.path) == ("POST", "/users/track"), 404, {"message": "?"})
        objects = request.json()["attributes"]
        demand(len(objects) <= 75, 400, {"message": "too many objects"})
        errors = []
        for index, one in enumerate(objects):
            known = [key for key in IDENTIFIERS if key in one]
            if not known or not one[known[0]] or "bad" in one[known[0]]:
                why = "'external_id', 'email' or 'phone' is not valid"
                errors.append({"type": why, "input_array": "attributes", "index": index})
            else:
                self.update(one[known[0]], known[0], one)
        if errors and len(errors) == len(objects):
            message = "Valid data must be provided in the 'attributes' field"
            return json_answer(400, {"message": message, "errors": errors})
        done = {"message": "success", "attributes_processed": len(objects) - len(errors)}
        return json_answer(201, {**done, "errors": errors} if errors else done)

    def update(self, user: str, identifier: str, given: dict[str, Any]) -> None:
        if identifier != self.identifier or (
            user not in self.users and given["_update_existing_only"]
        ):
            return
        held = self.users.setdefault(user, {})
        for key, value in given.items():
            if key in (identifier, "_update_existing_only"):
                continue
            if value is None:
                held.pop(key, None)
            elif isinstance(value, dict):
                kept = [one for one in held.get(key, []) if one not in value.get("remove", [])]
                held[key] = kept + [one for one in value.get("add", []) if one not in kept]
            else:
                held[key] = value

    def members(self, list_id: str | None) -> set[str]:
        """Users who have the attribute of the tests' audience."""
        return {
            user
            for user, held in self.users.items()
            if held.get("In VIP customers") is True or "VIP customers" in held.get("Audiences", [])
        }
