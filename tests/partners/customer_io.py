"""Customer.io: people by id, their attributes, manual segments."""

from __future__ import annotations

import base64
import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


def meta(*errors: str) -> dict[str, Any]:
    """What Customer.io says of an error."""
    return {"meta": {"errors": list(errors)}}


class CustomerIo(Partner):
    """Holds people and segments.

    Attributes:
        identifier: what people are known by.
        people: identifier -> attributes.
        segments: segment id -> people; `names` are theirs.
    """

    most_bytes = 500_000

    def __init__(
        self, site: str, key: str, people: list[str], *segments: int, identifier: str = "id"
    ) -> None:
        super().__init__()
        self.key = base64.b64encode(f"{site}:{key}".encode()).decode()
        self.app_key = "app-key-0123456789"
        self.identifier = identifier
        self.people: dict[str, dict[str, Any]] = {one: {} for one in people}
        self.segments: dict[int, set[str]] = {one: set() for one in segments}
        self.names: dict[int, str] = {}

    def authorize(self, request: Served) -> None:
        """The App API takes a bearer, the Track API site and key."""
        app = request.path.startswith("/v1/")
        wanted = f"Bearer {self.app_key}" if app else f"Basic {self.key}"
        demand(request.headers.get("authorization") == wanted, 401, meta("unauthorized"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == "/v1/segments":
            return self.of_segments(request)
        demand(request.method == "POST", 405, meta("method"))
        if request.path == "/api/v2/batch":
            return self.batch(request.json()["batch"])
        path = r"/api/v1/segments/(\d+)/(add|remove)_customers"
        found = re.fullmatch(path, request.path)
        known = found is not None and int(found[1]) in self.segments
        demand(known, 404, meta("segment not found"))
        assert found is not None
        ids = request.json()["ids"]
        demand(0 < len(ids) <= 1000, 400, meta("how many ids?"))
        people = self.segments[int(found[1])]
        if found[2] == "add":
            people |= set(ids) & self.people.keys()
        else:
            people -= set(ids)
        return json_answer(200, {})

    def batch(self, entries: list[Any]) -> Answer:
        errors = []
        for index, one in enumerate(entries):
            demand((one["type"], one["action"]) == ("person", "identify"), 400, meta("type?"))
            person = one["identifiers"].get(self.identifier)
            if not person or "bad" in person:
                why = {"reason": "invalid", "field": "id", "message": "id is bad"}
                errors.append({**why, "batch_index": index})
                continue
            attributes = dict(one["attributes"])
            if attributes.pop("_update", False) and person not in self.people:
                continue
            held = self.people.setdefault(person, {})
            held.update(attributes)
            for key in [key for key, value in held.items() if value == ""]:
                del held[key]
        return json_answer(207, {"errors": errors}) if errors else json_answer(200, {})

    def of_segments(self, request: Served) -> Answer:
        if request.method == "GET":
            rows = [{"id": 1, "name": "VIP customers", "type": "dynamic"}]
            rows += [{"id": key, "name": one, "type": "manual"} for key, one in self.names.items()]
            return json_answer(200, {"segments": rows})
        made = 50 + len(self.segments)
        self.segments[made], self.names[made] = set(), request.json()["segment"]["name"]
        return json_answer(200, {"segment": {"id": made, "type": "manual"}})

    def members(self, list_id: str | None) -> set[str]:
        """Of the segment, or, without one, those with the attribute of the tests' audience."""
        if list_id is not None:
            return self.segments.get(int(list_id), set())
        return {one for one, held in self.people.items() if held.get("In VIP customers") is True}
