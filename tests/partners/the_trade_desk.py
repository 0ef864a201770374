"""The Trade Desk's data servers: devices of an advertiser's segments."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


class DataServer(Partner):
    """Holds (segment, device) -> minutes; takes no device of the banned."""

    most_bytes = 2_500_000

    def __init__(self, advertiser: str, secret: str) -> None:
        super().__init__()
        self.advertiser, self.secret = advertiser, secret
        self.held: dict[tuple[str, str], int] = {}
        self.banned: set[str] = set()

    def authorize(self, request: Served) -> None:
        right = b64encode(hmac.digest(self.secret.encode(), request.raw, "sha1")).decode()
        given = request.headers.get("ttdsignature", "")
        demand(hmac.compare_digest(given, right), 403, {"Message": "wrong signature"})

    def handle(self, request: Served) -> Answer:
        demand(request.path == "/data/advertiser", 404, {"Message": "not found"})
        body = request.json()
        demand(body["AdvertiserId"] == self.advertiser, 400, {"Message": "no such advertiser"})
        failed = []
        for number, item in enumerate(body["Items"], 1):
            device = item["DAID"]
            shape = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
            if not re.fullmatch(shape, device) or device in self.banned:
                message = f"Invalid DAID, item #{number}"
                failed.append({"ErrorCode": "MissingUserId", "Message": message})
                continue
            for data in item["Data"]:
                assert re.fullmatch(r"[^'\",^]{1,49}", data["Name"])
                if data["TtlInMinutes"] == 0:
                    self.held.pop((data["Name"], device), None)
                else:
                    self.held[data["Name"], device] = data["TtlInMinutes"]
        return json_answer(200, {"FailedLines": failed} if failed else {})

    def members(self, list_id: str | None) -> set[str]:
        return {device for _, device in self.held}
