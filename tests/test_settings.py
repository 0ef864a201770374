"""Settings: where each value comes from, and what is refused."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cdp_stream.cli.config import command as config
from cdp_stream.core.secret_names import USUAL, SecretNames
from cdp_stream.errors import UsageError
from cdp_stream.settings import Settings, load_secret_names, load_settings, row_limit


def sources(found):
    return {source.name: source.source for source in found}


def test_without_anything_the_defaults_hold():
    settings, found = load_settings({}, {})
    assert settings == Settings()
    assert set(sources(found).values()) == {"default"}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "cdp.toml"
    file.write_text('broker = "file:1"\nprefix = "file"\npartitions = 8\n')
    settings, found = load_settings(
        {"broker": "flag:1", "prefix": None},
        {"CDP_BROKER": "environment:1", "CDP_PREFIX": "environment", "HOME": "/home"},
        file,
    )
    assert (settings.broker, settings.prefix, settings.partitions) == ("flag:1", "environment", 8)
    told = sources(found)
    assert (told["broker"], told["prefix"], told["partitions"], told["clock"]) == (
        "flag", "environment CDP_PREFIX", str(file), "default",
    )  # fmt: skip


def test_a_file_that_is_not_there_counts_as_empty(tmp_path):
    assert load_settings({}, {}, tmp_path / "cdp.toml")[0] == Settings()


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("250ms", 250), ("2s", 2_000), ("0", 0), (40, 40)]
)
def test_the_grace_is_a_duration(text, milliseconds):
    assert load_settings({"grace": text}, {})[0].grace == milliseconds


def test_an_unknown_environment_name_is_refused_but_those_of_the_tests_are_not():
    load_settings({}, {"CDP_TEST_BROKER": "x:1", "CDP_REQUIRE_KAFKA": "1"})
    with pytest.raises(UsageError, match="CDP_BROKR is not a setting"):
        load_settings({}, {"CDP_BROKR": "x:1"})


def test_an_unknown_name_in_the_file_is_refused(tmp_path):
    file = tmp_path / "cdp.toml"
    file.write_text("brokr = 1\n")
    with pytest.raises(UsageError, match="brokr is not a setting"):
        load_settings({}, {}, file)


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    file = tmp_path / "cdp.toml"
    file.write_text("broker\n")
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings({}, {}, file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partitions", "0"), ("partitions", True), ("partitions", "many"), ("metrics_port", 70_000),
        ("clock", "sun"), ("grace", "-1ms"), ("grace", "soon"), ("guarantee", "exactly-twice"),
        ("store", "disk"), ("memory", "0"), ("memory", "1g"), ("profile_size", "769"),
        ("prefix", "a b"), ("broker", " "), ("session_timeout", 0),
        ("log_level", "loud"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"^{name} "):
        load_settings({name: value}, {})


def test_what_is_kept_are_shares_of_the_memory_that_leave_room_for_the_rest():
    settings, mib = Settings(), 2**20
    assert settings.memory == 1024
    kept = {
        "rows": 448, "store": 128, "waiting": 64, "delivering": 32,
        "outputs_waiting": 64, "outputs_sending": 256,
    }  # fmt: skip
    assert {what: settings.memory_for(what) // mib for what in kept} == kept
    assert Settings(memory=4096).memory_for("rows") == 1792 * mib


def test_the_limit_of_a_profile_is_found_whatever_the_other_settings_are(tmp_path):
    file = tmp_path / "cdp.toml"
    assert row_limit({"CDP_NO_SETTING": "x"}, file) == 524_288
    file.write_text("profile_size = 64\n", encoding="utf-8")
    assert row_limit({}, file) == 65_536
    assert row_limit({"CDP_PROFILE_SIZE": "16", "CDP_BROKER": ""}, file) == 16_384
    with pytest.raises(UsageError, match="profile_size"):
        row_limit({"CDP_PROFILE_SIZE": "15"}, file)


def test_topics_and_groups_begin_with_the_prefix():
    settings = Settings(prefix="shop", data_dir=Path("d"), broker="a:1, b:2")
    assert settings.topic("events") == "shop.events"
    assert settings.group_id == "shop-profiles"
    assert settings.brokers == ["a:1", "b:2"]


SECRETS = {"CDP_SASL_PASSWORD": "hunter2", "CDP_TLS_KEY_PASSWORD": "hunter3"}
TLS = {"CDP_TLS": "true", "CDP_TLS_CERTIFICATE": "c.pem"}
LOGIN = {"CDP_SASL_MECHANISM": "PLAIN", "CDP_SASL_USERNAME": "cdp"}


def test_a_secret_is_shown_nowhere_but_to_whom_it_is_for():
    settings, found = load_settings({}, SECRETS | TLS | LOGIN)
    assert settings.sasl_password is not None
    assert settings.sasl_password.reveal() == "hunter2"
    assert "hunter" not in repr(settings) + str(settings.sasl_password) + repr(found)
    assert settings == load_settings({}, SECRETS | TLS | LOGIN)[0]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_cdp_config_masks_secrets(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(config, arguments, env=SECRETS | TLS | LOGIN)
    assert shown.exit_code == 0
    assert "hunter" not in shown.output
    assert shown.output.count("***") == 2


@pytest.mark.parametrize("name", ["sasl_password", "tls_key_password"])
def test_a_secret_in_the_file_is_refused_without_being_told(tmp_path, name):
    file = tmp_path / "cdp.toml"
    file.write_text(f'{name} = "hunter2"\n')
    with pytest.raises(UsageError, match=f"{name} does not belong") as told:
        load_settings({}, {}, file)
    assert "hunter" not in str(told.value)


def test_a_secret_that_is_no_text_is_refused_without_being_told():
    with pytest.raises(UsageError, match=r"^sasl_password .*is not a password") as told:
        load_settings({"sasl_password": 31337}, {})
    assert "31337" not in str(told.value)


@pytest.mark.parametrize(("written", "on"), [("true", True), ("False", False), (True, True)])
def test_tls_is_on_or_off(written, on):
    assert load_settings({"tls": written}, {})[0].tls is on


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CDP_TLS_CA": "ca.pem"}, "tls_ca is set, but tls is off"),
        ({"CDP_TLS_CERTIFICATE": "c.pem"}, "tls_certificate is set, but tls is off"),
        ({"CDP_TLS": "true", "CDP_TLS_KEY": "k.pem"}, "but no certificate"),
        ({"CDP_TLS": "true", "CDP_TLS_KEY_PASSWORD": "p"}, "but no certificate"),
        ({"CDP_SASL_USERNAME": "cdp"}, "but no mechanism"),
        ({"CDP_SASL_PASSWORD_FILE": "f"}, "but no mechanism"),
        (LOGIN, "a name or a password is missing"),
        ({"CDP_SASL_MECHANISM": "PLAIN", "CDP_SASL_PASSWORD": "p"}, "a name or a password"),
        (LOGIN | {"CDP_SASL_PASSWORD": "p", "CDP_SASL_PASSWORD_FILE": "f"}, "is set twice"),
        ({"CDP_SASL_MECHANISM": "GSSAPI"}, "is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ({"CDP_TLS": "maybe"}, "is not true or false"),
        ({"CDP_LOG_FORMAT": "xml"}, "is not json or logfmt"),
    ],
)
def test_settings_of_tls_and_login_that_do_not_fit_each_other_are_refused(environment, message):
    with pytest.raises(UsageError, match=message):
        load_settings({}, environment)


def test_all_that_is_wrong_is_named_at_once(tmp_path):
    (file := tmp_path / "cdp.toml").write_text('grace = "soon"\nstor = "memory"\n')
    environment = {"CDP_CLOCK": "sun", "CDP_BROKR": "x:1", "CDP_PARTITIONS": "2"}
    with pytest.raises(UsageError) as told:
        load_settings({"metrics_port": "99999"}, environment, file)
    line = str(told.value)
    assert line.startswith("5 settings are wrong: (1) ")
    for part in (
        "stor is not a setting; did you mean store?",
        "CDP_BROKR is not a setting; unset it; did you mean CDP_BROKER?",
        "metrics_port (flag): '99999' is not a port",
        "clock (environment CDP_CLOCK): 'sun' is not wall or stream",
        "'soon' is not a duration",
    ):
        assert part in line
    with pytest.raises(UsageError) as told:
        load_settings({}, {"CDP_TLS_CA": "ca.pem", "CDP_SASL_USERNAME": "cdp"})
    assert "tls_ca is set, but tls is off" in str(told.value)
    assert "but no mechanism" in str(told.value)


def test_secrets_are_no_settings_but_their_names_are_one(tmp_path):
    environment = {"CDP_SECRET_CRM": "x", "CDP_SECRET_NAMES": "CRM_KEY, MAIL_*"}
    settings, found = load_settings({}, environment)
    assert settings.secret_names == SecretNames(("CRM_KEY", "MAIL_*"))
    assert sources(found)["secret_names"] == "environment CDP_SECRET_NAMES"
    assert load_secret_names(environment) == settings.secret_names
    file = tmp_path / "cdp.toml"
    file.write_text('secret_names = ["CRM_KEY"]\nnonsense = 1\n')
    # A command that needs no other setting takes this one from the file alone.
    assert load_secret_names({"CDP_NONSENSE": "1"}, file) == SecretNames(("CRM_KEY",))
    assert load_secret_names({}, tmp_path / "none.toml") == USUAL
    with pytest.raises(UsageError, match=r"secret_names .* is not names of variables"):
        load_settings({}, {"CDP_SECRET_NAMES": "${CRM}"})


def test_operators_say_where_outputs_may_go(tmp_path):
    environment = {"CDP_ALLOW_PRIVATE": "false", "CDP_OUTPUTS_DIR": str(tmp_path)}
    settings, _ = load_settings({}, environment)
    assert (settings.allow_private, settings.outputs_dir) == (False, tmp_path)
    assert (Settings().allow_private, Settings().outputs_dir) == (True, None)
