"""Where partners are: `api_url` may end with a slash, and with the version or without it."""

import pytest

from cdp_stream.connectors.change import ADD
from tests.connectors.cases.airship import CASE as AIRSHIP
from tests.connectors.cases.braze import CASE as BRAZE
from tests.connectors.cases.customer_io import CASE as CUSTOMER_IO
from tests.connectors.cases.facebook import CASE as FACEBOOK
from tests.connectors.cases.iterable import CASE as ITERABLE
from tests.connectors.cases.klaviyo import CASE as KLAVIYO
from tests.connectors.cases.mailchimp import CASE as MAILCHIMP
from tests.connectors.cases.pinterest import CASE as PINTEREST
from tests.connectors.cases.snapchat import CASE as SNAPCHAT
from tests.connectors.cases.tiktok import CASE as TIKTOK
from tests.connectors.changes import change, identity, identity_types

VERSIONS = [
    (AIRSHIP, "/api"),
    (BRAZE, ""),
    (CUSTOMER_IO, ""),
    (FACEBOOK, "/v25.0"),
    (ITERABLE, "/api"),
    (KLAVIYO, "/api"),
    (MAILCHIMP, "/3.0"),
    (PINTEREST, "/v5"),
    (SNAPCHAT, "/v1"),
    (TIKTOK, "/open_api/v1.3"),
]


@pytest.mark.parametrize(("case", "version"), VERSIONS)
def test_an_address_may_be_written_in_each_way(case, version):
    identities = {one: identity(one, 0) for one in identity_types(case.connector)}
    one = case.filled(change(ADD, identities=identities))
    urls = set()
    for address in ("http://127.0.0.1:9", "http://127.0.0.1:9/", f"http://127.0.0.1:9{version}/"):
        urls.add(next(case.exchange(api_url=address).connector.deliver([one])).url)
    (url,) = urls
    assert url.startswith(f"http://127.0.0.1:9{version}/")
    assert url.count(version or "//") == 1
