"""Which variables of the process definitions may use."""

import re

import pytest

from cdp_stream.core.secret_names import USUAL, SecretNames, is_secret

NEVER = [
    "CDP_SASL_PASSWORD",
    "CDP_TLS_KEY_PASSWORD",
    "CDP_BROKER",
    "CDP_SECRET_NAMES",
    "CDP_SECRET",
    "cdp_sasl_password",
    "Cdp_Secret_Names",
]


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("patterns", [("*",), ("CDP_*", "cdp_*"), tuple(NEVER)])
def test_no_setting_is_allowed_whatever_operators_say(name, patterns):
    assert not SecretNames(patterns).allows(name)
    assert "is the name of a setting" in SecretNames(patterns).refusal(name)


def test_usually_names_with_one_prefix_are_allowed():
    assert [name for name in ("CDP_SECRET_CRM", "CRM", "PATH", "SECRET") if USUAL.allows(name)] == [
        "CDP_SECRET_CRM"
    ]


def test_operators_may_allow_others_by_name_or_pattern():
    names = SecretNames(("CRM_KEY", "MAIL_*_TOKEN"))
    allowed = ["CRM_KEY", "MAIL_EU_TOKEN"]
    others = ["CRM_KEYS", "XCRM_KEY", "MAIL_TOKEN", "MAIL_EU_TOKEN_2", "CDP_SECRET_CRM", "crm_key"]
    assert [name for name in allowed + others if names.allows(name)] == allowed


def test_a_refused_name_is_reported_with_one_that_is_allowed():
    assert (
        USUAL.refusal("CRM_KEY") == "operators do not allow `CRM_KEY` (secret_names: CDP_SECRET_*)"
    )
    assert "`${CDP_SECRET_CRM_KEY}`" in USUAL.advice("CRM_KEY")
    assert "`${CDP_SECRET_CRM}`" in USUAL.advice("SECRET_CRM")


@pytest.mark.parametrize("pattern", ["", "A B", "1A", "A-B", "${A}", "A[BC]"])
def test_a_pattern_is_a_name_with_stars(pattern):
    with pytest.raises(ValueError, match=re.escape(repr((pattern,)))):
        SecretNames((pattern,))


def test_the_name_of_the_setting_is_no_secret():
    assert is_secret("CDP_SECRET_CRM")
    assert not is_secret("CDP_SECRET_NAMES")
