"""Google's APIs: the token endpoint, and the services behind it."""

from __future__ import annotations

import base64
import json
import re
from abc import abstractmethod
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

ACCESS = "ya29.a0AfH6SMB"
CLIENT = {
    "client_id": "client.apps.googleusercontent.com",
    "client_secret": "GOCSPX-client-secret",
    "refresh_token": "1//refresh-token",
}


def at(url: str) -> dict[str, Any]:
    """Settings under which the partner is elsewhere."""
    return {"api_url": url, "token_url": f"{url}/token", "allow_private": True}


def refusal(status: int, reason: str, message: str = "no", **detail: Any) -> Answer:
    """An error as Google words it."""
    error: dict[str, Any] = {"code": status, "message": message, "status": reason}
    error["errors"] = [{"reason": reason, "message": message}]
    if detail:
        error["details"] = [detail]
    return json_answer(status, {"error": error})


def require(holds: object, status: int, reason: str, message: str = "no") -> None:
    """A rule of Google's."""
    demand(holds, status, json.loads(refusal(status, reason, message).body))


class Google(Partner):
    """Gives tokens and asks for them.

    Attributes:
        public_key: PEM, of the service account; None where there is none.
        scope: what an assertion must ask for.
    """

    scope = ""
    public_key: bytes | None = None

    def authorize(self, request: Served) -> None:
        if request.path != "/token":
            held = request.headers.get("authorization")
            require(held == f"Bearer {ACCESS}", 401, "UNAUTHENTICATED")

    def handle(self, request: Served) -> Answer:
        if request.path == "/token":
            return self.token(request)
        return self.serve(request)

    def token(self, request: Served) -> Answer:
        form = {key: one for key, (one,) in parse_qs(request.body.decode()).items()}
        if form["grant_type"] == "refresh_token":
            right = {key: form[key] for key in CLIENT} == CLIENT
        else:
            right = self.asserts(form["assertion"])
        demand(right, 400, {"error": "invalid_grant", "error_description": "Bad Request"})
        return json_answer(200, {"access_token": ACCESS, "expires_in": 3599})

    def asserts(self, assertion: str) -> bool:
        """Verify RS256 without google-auth."""
        assert self.public_key is not None
        head, claims, signature = assertion.split(".")
        key: Any = load_pem_public_key(self.public_key)
        signed = f"{head}.{claims}".encode()
        key.verify(_bytes(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        said = json.loads(_bytes(claims))
        return bool(said["scope"] == self.scope and said["exp"] - said["iat"] <= 3600)

    @abstractmethod
    def serve(self, request: Served) -> Answer: ...


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class DataManager(Google):
    """Customer Match lists: id -> (upload key, what identifies its members)."""

    scope = "https://www.googleapis.com/auth/datamanager"

    def __init__(self, account: str = "1234567890", lists: tuple[str, ...] = ("777",)) -> None:
        super().__init__()
        self.account = account
        self.lists: dict[str, dict[str, Any]] = {
            one: {"id": one, "displayName": f"list {one}"} for one in lists
        }
        self.held: dict[str, set[str]] = {one: set() for one in lists}

    def serve(self, request: Served) -> Answer:
        lists = f"/accountTypes/GOOGLE_ADS/accounts/{self.account}/userLists"
        path = request.path.removeprefix("/v1")
        if path == lists and request.method == "GET":
            named = re.fullmatch(r'displayName = "(.*)"', request.query["filter"])
            require(named, 400, "INVALID_ARGUMENT")
            assert named is not None
            found = [one for one in self.lists.values() if one["displayName"] == named[1]]
            return json_answer(200, {"userLists": found} if found else {})
        if path == lists and request.method == "POST":
            return self.make(request.json())
        if request.method == "DELETE":
            gone = path.removeprefix(f"{lists}/")
            require(gone in self.lists, 404, "NOT_FOUND")
            del self.lists[gone], self.held[gone]
            return json_answer(200, {})
        verb = path.rpartition(":")[2]
        require(path == f"/audienceMembers:{verb}" and request.method == "POST", 404, "NOT_FOUND")
        return self.change(verb, request.json())

    def make(self, body: dict[str, Any]) -> Answer:
        taken = {one["displayName"] for one in self.lists.values()}
        require(body["displayName"] not in taken, 400, "NAME_ALREADY_USED")
        info = body["ingestedUserListInfo"]
        require(len(info["uploadKeyTypes"]) == 1, 400, "INVALID_ARGUMENT")
        days = int(body["membershipDuration"].removesuffix("s")) / 86_400
        require(1 <= days <= 540, 400, "INVALID_ARGUMENT")
        made = {**body, "id": str(900 + len(self.lists))}
        self.lists[made["id"]] = made
        self.held[made["id"]] = set()
        return json_answer(200, made)

    def change(self, verb: str, body: dict[str, Any]) -> Answer:
        (destination,) = body["destinations"]
        account = {"accountType": "GOOGLE_ADS", "accountId": self.account}
        require(destination["operatingAccount"] == account, 403, "PERMISSION_DENIED")
        held = self.held.get(destination["productDestinationId"])
        require(held is not None, 400, "INVALID_USER_LIST_ID")
        assert held is not None
        members = body["audienceMembers"]
        require(0 < len(members) <= 10_000, 400, "TOO_MANY_AUDIENCE_MEMBERS")
        require(body["encoding"] == "HEX", 400, "INVALID_ARGUMENT")
        if verb == "ingest":
            terms = body["termsOfService"]["customerMatchTermsOfServiceStatus"]
            require(terms == "ACCEPTED", 400, "TERMS_AND_CONDITIONS_NOT_SIGNED")
        require(len({next(iter(one)) for one in members}) == 1, 400, "MULTIPLE_DATA_TYPES")
        found: set[str] = set()
        wrong: list[dict[str, str]] = []
        for place, one in enumerate(members):
            identifiers = _identifiers(one)
            require(len(identifiers) <= 10, 400, "TOO_MANY_USER_IDENTIFIERS")
            shape = r"[0-9a-f]{64}" if "userData" in one else r"[0-9a-f-]{36}"
            if all(re.fullmatch(shape, each) for each in identifiers):
                found.update(identifiers)
            else:
                field = f"audience_members.audience_members[{place}]"
                wrong.append({"field": field, "reason": "INVALID_SHA256_FORMAT"})
        if wrong:
            return refusal(400, "INVALID_ARGUMENT", fieldViolations=wrong)
        if verb == "ingest":
            held |= found
        else:
            held -= found
        return json_answer(200, {"requestId": "126365e1"})

    def members(self, list_id: str | None) -> set[str]:
        return self.held[str(list_id)]


def _identifiers(member: dict[str, Any]) -> list[str]:
    if "mobileData" in member:
        ids: list[str] = member["mobileData"]["mobileIds"]
        return ids
    return [value for one in member["userData"]["userIdentifiers"] for value in one.values()]


class Warehouse(Google):
    """BigQuery: a dataset; a table that was just made takes no rows at first."""

    most_bytes = 10_000_000
    scope = "https://www.googleapis.com/auth/bigquery"

    def __init__(self, project: str = "acme", dataset: str = "cdp", shy: int = 1) -> None:
        super().__init__()
        self.base = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}
        self.schemas: dict[str, set[str]] = {}
        self.shy = shy
        self.not_yet: dict[str, int] = {}

    def serve(self, request: Served) -> Answer:
        require(request.path.startswith(self.base), 404, "notFound")
        name, _, verb = request.path.removeprefix(self.base).strip("/").partition("/")
        if request.method == "POST" and not name:
            return self.make(request.json())
        require(name in self.tables, 404, "notFound")
        if request.method == "GET":
            return json_answer(200, {"id": name})
        require(verb == "insertAll", 404, "notFound")
        self.not_yet[name] -= 1
        require(self.not_yet[name] < 0, 404, "notFound", "Table not found")
        return self.insert(name, request.json())

    def make(self, body: dict[str, Any]) -> Answer:
        name = body["tableReference"]["tableId"]
        require(name not in self.tables, 409, "duplicate")
        require(re.fullmatch(r"\w{1,1024}", name), 400, "invalid")
        self.tables[name] = {}
        self.schemas[name] = {one["name"] for one in body["schema"]["fields"]}
        self.not_yet[name] = self.shy
        return json_answer(200, {"id": name})

    def insert(self, name: str, body: dict[str, Any]) -> Answer:
        rows = body["rows"]
        require(0 < len(rows) <= 50_000, 400, "invalid")
        errors = []
        for place, row in enumerate(rows):
            require(len(row["insertId"]) <= 128, 400, "invalid")
            content = row["json"]
            unknown = content.keys() - self.schemas[name]
            if unknown or not -(2**63) <= int(content["mpid"]) < 2**63:
                message = f"no such field: {unknown}" if unknown else "Cannot convert value"
                error = {"reason": "invalid", "message": message}
                errors.append({"index": place, "errors": [error]})
            else:
                self.tables[name].setdefault(row["insertId"], content)
        return json_answer(200, {"insertErrors": errors} if errors else {})

    def members(self, list_id: str | None) -> set[str]:
        """Who is in, as the rows say in their order."""
        held: set[str] = set()
        for table in self.tables.values():
            for row in table.values():
                lists = [one for one in row.values() if isinstance(one, list)]
                ids = {one["id"] for each in lists for one in each if "id" in one}
                held = held | ids if row["isadd"] else held - ids
        return held


class Bucket(Google):
    """Google Cloud Storage: objects, in the order in which they were made."""

    scope = "https://www.googleapis.com/auth/devstorage.read_write"

    def __init__(self, bucket: str = "acme-audiences") -> None:
        super().__init__()
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}

    def serve(self, request: Served) -> Answer:
        require(request.method == "POST", 405, "methodNotAllowed")
        require(request.path == f"/upload/storage/v1/b/{self.bucket}/o", 404, "notFound")
        require(request.query["uploadType"] == "media", 400, "invalid")
        name = request.query["name"]
        require(request.query["ifGenerationMatch"] == "0", 400, "required")
        require(name not in self.objects, 412, "conditionNotMet")
        self.objects[name] = request.body
        return json_answer(200, {"name": name})

    def members(self, list_id: str | None) -> set[str]:
        held: set[str] = set()
        for body in self.objects.values():
            for line in body.splitlines():
                content = json.loads(line)
                content["IdentityValues"].pop("mpid")
                ids = set(content["IdentityValues"].values())
                held = held | ids if content["IsAddRequest"] else held - ids
        return held


class Topic(Google):
    """Pub/Sub: messages, in order per ordering key."""

    most_bytes = 10_000_000
    scope = "https://www.googleapis.com/auth/pubsub"

    def __init__(self, topic: str = "projects/acme/topics/audiences") -> None:
        super().__init__()
        self.topic = topic
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}

    def serve(self, request: Served) -> Answer:
        require(request.path == f"/v1/{self.topic}:publish", 404, "NOT_FOUND")
        messages = request.json()["messages"]
        require(0 < len(messages) <= 1_000, 400, "INVALID_ARGUMENT")
        for one in messages:
            content = json.loads(base64.b64decode(one["data"], validate=True))
            require(one.get("orderingKey", "") == content["mpid"], 400, "INVALID_ARGUMENT")
            attributes = one["attributes"]
            require(all(isinstance(each, str) for each in attributes.values()), 400, "INVALID")
            key = attributes["message_id"], attributes["connection"]
            self.messages.setdefault(key, content)
        return json_answer(200, {"messageIds": [str(n) for n, _ in enumerate(messages)]})

    def members(self, list_id: str | None) -> set[str]:
        held: set[str] = set()
        for content in self.messages.values():
            ids = {one["identity"] for one in content["user_identities"]}
            held = held - ids if content["action"] == "delete" else held | ids
        return held
