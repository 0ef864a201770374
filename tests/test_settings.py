"""Settings: where each value comes from, and what is refused."""

from pathlib import Path

import pytest

from cdp_stream.errors import UsageError
from cdp_stream.settings import Settings, load_settings


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
    with pytest.raises(UsageError, match="CDP_BROKR is no setting"):
        load_settings({}, {"CDP_BROKR": "x:1"})


def test_an_unknown_name_in_the_file_is_refused(tmp_path):
    file = tmp_path / "cdp.toml"
    file.write_text("brokr = 1\n")
    with pytest.raises(UsageError, match="brokr is no setting"):
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
        ("clock", "sun"), ("grace", "-1ms"), ("grace", "soon"), ("guarantee", "exactly-once"),
        ("store", "rocksdb"), ("prefix", "a b"), ("broker", " "), ("session_timeout", 0),
        ("log_level", "loud"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"^{name} "):
        load_settings({name: value}, {})


def test_topics_and_groups_begin_with_the_prefix():
    settings = Settings(prefix="shop", data_dir=Path("d"), broker="a:1, b:2")
    assert settings.topic("events") == "shop.events"
    assert settings.group_id == "shop-profiles"
    assert settings.brokers == ["a:1", "b:2"]
