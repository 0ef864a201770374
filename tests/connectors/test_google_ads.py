"""The requests to Google Ads, and what its answers mean."""

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.google_ads import (
    GoogleAds,
    GoogleAdsConnection,
    GoogleAdsSettings,
)
from cdp_stream.errors import UsageError
from tests.connectors.cases.google_ads import ANDROID, CASE, SETTINGS, of, sha
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, conformance
from tests.partners.converse import Exchange, converse
from tests.partners.google import DataManager

TestConforms = conformance(CASE)


def exchange(connection=None, **settings):
    model = GoogleAdsSettings.model_validate({**SETTINGS, **settings})
    return Exchange(GoogleAds("out", model), NOW)


def test_a_list_is_made_once_and_found_again():
    partner = DataManager(lists=())
    add = change(ADD, name='Says "hi"', identities={"email": "a@b.example"}, settings=of("contact"))
    assert converse(exchange(login_account_id="5550001111"), [add], partner.answer) == Outcome()
    (made,) = partner.lists.values()
    assert made["displayName"] == 'Says "hi"'
    assert made["membershipDuration"] == "46656000s"
    assert made["ingestedUserListInfo"] == {
        "uploadKeyTypes": ["CONTACT_ID"],
        "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
    }
    asked = [one for one in partner.requests if one.path.endswith("userLists")]
    login = "accountTypes/GOOGLE_ADS/accounts/5550001111"
    assert [one.headers["login-account"] for one in asked] == [login, login]
    assert partner.members(made["id"]) == {sha("a@b.example")}


def test_a_mobile_list_says_platform_and_app():
    partner = DataManager(lists=())
    settings = GoogleAdsConnection(upload_key="android", app_id="com.acme", membership_days=30)
    add = change(ADD, identities={"android_advertising_id": ANDROID}, settings=settings)
    converse(exchange(), [add], partner.answer)
    (made,) = partner.lists.values()
    assert made["membershipDuration"] == "2592000s"
    assert made["ingestedUserListInfo"]["mobileIdInfo"] == {
        "dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY",
        "appId": "com.acme",
        "keySpace": "ANDROID",
    }


def test_a_list_of_the_name_is_used():
    partner = DataManager(lists=())
    partner.lists["5"] = {"id": "5", "displayName": "VIP customers"}
    partner.held["5"] = set()
    add = change(ADD, identities={"email": "a@b.example"}, settings=of("contact"))
    converse(exchange(), [add], partner.answer)
    assert partner.members("5") == {sha("a@b.example")}


def test_a_list_that_cannot_be_made_is_a_fault_of_the_connection():
    partner = DataManager(account="999")
    with pytest.raises(Fault, match="created no list for VIP customers") as raised:
        converse(exchange(), [change(ADD, settings=of("contact"))], partner.answer)
    assert raised.value.scope == "connection"


def test_consent_and_the_manager_account_are_sent():
    partner = DataManager()
    add = change(ADD, identities={"email": "a@b.example"}, settings=of("contact"), list_id="777")
    given = {"ad_user_data": "CONSENT_GRANTED", "login_account_id": "5550001111"}
    converse(exchange(**given), [add], partner.answer)
    said = partner.requests[-1].json()
    assert said["consent"] == {"adUserData": "CONSENT_GRANTED"}
    account = {"accountType": "GOOGLE_ADS", "accountId": "5550001111"}
    assert said["destinations"][0]["loginAccount"] == account


def test_a_person_of_more_than_ten_identifiers_is_sent_in_parts():
    partner = DataManager()
    emails = [("email", f"a{n}@b.example") for n in range(12)]
    add = change(ADD, identities=emails, settings=of("contact"), list_id="777")
    assert converse(exchange(), [add], partner.answer) == Outcome()
    assert len(partner.members("777")) == 12


def test_wrong_credentials_are_a_fault_in_googles_words_alone():
    partner = DataManager()
    add = change(ADD, identities={"email": "a@b.example"}, settings=of("contact"), list_id="777")
    with pytest.raises(Fault, match="invalid_grant Bad Request") as raised:
        converse(exchange(refresh_token="1//another"), [add], partner.answer)
    assert raised.value.scope == "output"
    assert "another" not in raised.value.message


def test_a_token_endpoint_that_says_nonsense_is_a_fault():
    partner = DataManager()
    partner.ahead.append(Answer(200, b"<html>"))
    add = change(ADD, identities={"email": "a@b.example"}, settings=of("contact"), list_id="777")
    with pytest.raises(Fault, match="gave no access token: 200"):
        converse(exchange(), [add], partner.answer)


def test_missing_credentials_are_reported_at_once():
    with pytest.raises(UsageError, match="set service_account, or client_id"):
        GoogleAds("out", GoogleAdsSettings(account_id="1"))


def test_a_connection_may_ask_for_the_list_to_be_deleted():
    partner = DataManager()
    gone = change(AUDIENCE_DELETE, settings=of("contact"), list_id="777")
    for _again in range(2):
        assert converse(exchange(), [gone], partner.answer) == Outcome()
    assert partner.lists == {}
