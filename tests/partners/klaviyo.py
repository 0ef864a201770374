"""Klaviyo: profiles by email, lists of their ids, imports that take a while."""

from __future__ import annotations

import json
import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


def errors(status: int, code: str, detail: str = "") -> dict[str, Any]:
    """What Klaviyo says of an error."""
    return {"errors": [{"status": status, "code": code, "title": code, "detail": detail}]}


class Klaviyo(Partner):
    """Holds profiles, lists and jobs.

    Attributes:
        key: what profiles are found by.
        profiles: identifier -> profile id.
        properties: profile id -> custom properties.
        lists: list id -> profile ids; `names` are theirs.
        slow: how often a job is asked after before it is complete.
    """

    def __init__(self, api_key: str, *lists: str, key: str = "email", slow: int = 1) -> None:
        super().__init__()
        self.api_key = api_key
        self.key = key
        self.profiles: dict[str, str] = {}
        self.properties: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, set[str]] = {one: set() for one in lists}
        self.names: dict[str, str] = {}
        self.jobs: list[dict[str, Any]] = []
        self.slow = slow

    def authorize(self, request: Served) -> None:
        """A private key, and a revision."""
        right = request.headers.get("authorization") == f"Klaviyo-API-Key {self.api_key}"
        demand(right, 401, errors(401, "not_authenticated"))
        demand("revision" in request.headers, 400, errors(400, "no_revision"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        path = request.path
        if path == "/api/profiles":
            return self.found(request)
        if path == "/api/lists":
            return self.of_lists(request)
        if found := re.fullmatch(r"/api/lists/(\w+)(/relationships/profiles)?", path):
            return self.of_list(found[1], bool(found[2]), request)
        if path == "/api/profile-bulk-import-jobs":
            return self.begun(request.json())
        found = re.fullmatch(r"/api/profile-bulk-import-jobs/(\d+)(/import-errors)?", path)
        demand(found is not None and int(found[1]) < len(self.jobs), 404, errors(404, "not_found"))
        assert found is not None
        return self.of_job(self.jobs[int(found[1])], bool(found[2]))

    def found(self, request: Served) -> Answer:
        wanted = re.fullmatch(rf"any\({self.key},(\[.*\])\)", request.query["filter"])
        demand(wanted, 400, errors(400, "invalid"))
        assert wanted is not None
        values = json.loads(wanted[1])
        demand(len(values) <= 100, 400, errors(400, "invalid", "more than 100 values"))
        rows = [
            {"type": "profile", "id": self.profiles[one], "attributes": {self.key: one}}
            for one in values
            if one in self.profiles
        ]
        return json_answer(200, {"data": rows})

    def begun(self, body: Any) -> Answer:
        profiles = body["data"]["attributes"]["profiles"]["data"]
        demand(0 < len(profiles) <= 10_000, 400, errors(400, "invalid", "how many?"))
        self.jobs.append({"profiles": profiles, "asked": 0, "errors": []})
        made = {"type": "profile-bulk-import-job", "id": str(len(self.jobs) - 1)}
        return json_answer(202, {"data": {**made, "attributes": {"status": "queued"}}})

    def of_job(self, job: dict[str, Any], of_errors: bool) -> Answer:
        if of_errors:
            return json_answer(200, {"data": job["errors"]})
        job["asked"] += 1
        if job["asked"] <= self.slow:
            return json_answer(200, {"data": {"attributes": {"status": "processing"}}})
        if job["profiles"] is not None:
            for index, one in enumerate(job["profiles"]):
                self.imported(index, one["attributes"], job["errors"])
            job["profiles"] = None
        done = {"status": "complete", "failed_count": len(job["errors"])}
        return json_answer(200, {"data": {"attributes": done}})

    def imported(self, index: int, given: dict[str, Any], failed: list[Any]) -> None:
        value = given[self.key]
        if self.key == "email" and "@" not in value:
            pointer = f"/data/attributes/profiles/data/{index}/attributes/email"
            row = {"code": "invalid", "detail": "bad email", "source": {"pointer": pointer}}
            failed.append({"type": "import-error", "attributes": row})
            return
        profile_id = self.profiles.setdefault(value, f"01P{len(self.profiles)}")
        self.properties.setdefault(profile_id, {}).update(given.get("properties", {}))

    def of_lists(self, request: Served) -> Answer:
        if request.method == "GET":
            rows = [
                {"id": one, "attributes": {"name": name}}
                for one, name in self.names.items()
                if request.query["filter"] == f'equals(name,"{name}")'
            ]
            return json_answer(200, {"data": rows})
        made = f"L{len(self.lists)}"
        self.lists[made] = set()
        self.names[made] = request.json()["data"]["attributes"]["name"]
        return json_answer(201, {"data": {"type": "list", "id": made}})

    def of_list(self, list_id: str, of_profiles: bool, request: Served) -> Answer:
        unknown = errors(404, "not_found", f"A list with id {list_id} does not exist.")
        demand(list_id in self.lists, 404, unknown)
        if not of_profiles:
            demand(request.method == "DELETE", 405, errors(405, "method_not_allowed"))
            del self.lists[list_id]
            return Answer(204)
        ids = {one["id"] for one in request.json()["data"]}
        demand(len(ids) <= 1000, 400, errors(400, "invalid"))
        demand(ids <= set(self.profiles.values()), 404, errors(404, "not_found", "a profile"))
        if request.method == "DELETE":
            self.lists[list_id] -= ids
        else:
            self.lists[list_id] |= ids
        return Answer(204)

    def members(self, list_id: str | None) -> set[str]:
        """The identifiers of a list's profiles."""
        known = {profile: value for value, profile in self.profiles.items()}
        return {known[one] for one in self.lists.get(str(list_id), set())}
