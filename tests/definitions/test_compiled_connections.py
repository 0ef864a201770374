"""What outputs and connections mean: the connections they make, over several files."""

from pathlib import Path
from typing import Any

from cdp_stream.core.model.connection import Connection
from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import load_files, load_text

HEAD = """version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: cart, tags: [hot, cold], criteria: {event: A}}
  - id: split
    tags: [hot]
    criteria: {event: B}
    ab_test: {variants: [{name: Blue, percent: 40}]}
  - {id: quiet, status: draft, criteria: {event: C}}
journeys:
  - id: trial
    activation: by_connection
    milestones:
      - id: one
        criteria: {event: A}
        then: [{id: deep, tags: [hot], criteria: {event: B}}, {id: rest, remaining: true}]
      - {id: two, criteria: {event: C}}
      - {id: three, criteria: {event: D}}
calculated_attributes:
  - {id: spent, calculation: sum, of: {event: A, attribute: price}}
"""
OUTPUTS = """outputs:
  - {id: hook, connector: webhook, settings: {url: "https://example.com", secret: "${SECRET}"}}
"""


def account_of(connections: str, outputs: str = OUTPUTS) -> Account:
    """The account of `HEAD` with these connections, which have nothing wrong in them."""
    loaded = load_text(HEAD + outputs + f"connections:\n{connections}")
    assert loaded.problems == []
    assert loaded.account is not None
    return loaded.account


def made_by(connections: str) -> dict[str, Connection]:
    """The connections that the entries make, by id."""
    return {made.id: made for made in account_of(connections).connections}


def test_an_output_keeps_its_settings_as_they_are_written() -> None:
    (output,) = account_of("  - {audience: cart, output: hook}").outputs
    assert (output.id, output.connector) == ("hook", "webhook")
    assert output.settings == {"url": "https://example.com", "secret": "${SECRET}"}


def test_a_single_connection_leaves_what_it_does_not_say_to_its_connector() -> None:
    assert made_by("  - {audience: cart, output: hook}") == {
        "cart@hook": Connection("cart@hook", "cart", "hook")
    }


def test_everything_that_a_connection_says() -> None:
    entry = (
        "  - {audience: split, variant: Blue, output: hook, status: inactive,"
        " user_attributes: [spent, Status, $Age, spent], on_audience_delete: keep}"
    )
    (made,) = made_by(entry).values()
    assert made == Connection(
        "split#Blue@hook",
        "split",
        "hook",
        "Blue",
        active=False,
        user_attributes=("spent", "Status", "$age"),
        on_audience_delete="keep",
    )


def test_control_is_a_variant_that_may_be_connected() -> None:
    assert list(made_by("  - {audience: split, variant: Control, output: hook}")) == [
        "split#Control@hook"
    ]


def test_tags_connect_all_that_have_all_of_them() -> None:
    assert list(made_by("  - {tags: [hot], output: hook}")) == [
        "cart@hook",
        "split@hook",
        "trial/deep@hook",
    ]
    assert list(made_by("  - {tags: [hot, cold], output: hook}")) == ["cart@hook"]


def test_a_list_connects_each_once() -> None:
    entry = "  - {audiences: [split, cart, split], output: hook}"
    assert list(made_by(entry)) == ["split@hook", "cart@hook"]


def test_an_entry_of_its_own_wins_over_a_bulk_entry_wherever_it_stands() -> None:
    bulk = "  - {tags: [hot], output: hook}\n"
    own = "  - {audience: cart, output: hook, user_attributes: [spent]}\n"
    for entries in (bulk + own, own + bulk):
        made = made_by(entries)
        assert made["cart@hook"].user_attributes == ("spent",)
        assert made["split@hook"].user_attributes == ()


def test_bulk_entries_that_agree_may_overlap() -> None:
    entries = "  - {tags: [hot], output: hook}\n  - {tags: [cold], output: hook}\n"
    assert len(made_by(entries)) == 3


def test_connections_may_be_in_another_file_than_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("version: 1\nconnections: [{audience: cart, output: hook}]\n")
    (tmp_path / "2.yaml").write_text(HEAD)
    (tmp_path / "3.yaml").write_text("version: 1\n" + OUTPUTS)
    loaded = load_files([tmp_path])
    assert loaded.problems == []
    assert loaded.account is not None
    assert [made.id for made in loaded.account.connections] == ["cart@hook"]


def test_two_bulk_entries_in_two_files_name_the_place_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(HEAD + OUTPUTS)
    (tmp_path / "2.yaml").write_text("version: 1\nconnections: [{tags: [hot], output: hook}]\n")
    entry = "connections: [{tags: [cold], output: hook, status: inactive}]\n"
    (tmp_path / "3.yaml").write_text(f"version: 1\n{entry}")
    (problem,) = load_files([tmp_path]).problems
    assert problem.code == "duplicate-id"
    assert f"{tmp_path / '2.yaml'}:2" in problem.message


def test_the_digest_of_an_audience_does_not_know_its_connections() -> None:
    plain = load_text(HEAD).account
    assert plain is not None
    connected = account_of("  - {tags: [hot], output: hook, user_attributes: [spent]}")
    digests: list[dict[str, Any]] = [
        {audience.id: audience.digest for audience in account.audiences}
        for account in (plain, connected)
    ]
    assert digests[0] == digests[1]


def test_only_milestones_that_an_active_connection_needs_are_computed() -> None:
    def computed(connections: str) -> list[str]:
        account = account_of(connections)
        milestones = [one for one in account.audiences if "/" in one.id]
        assert all(one.emits == one.computed for one in milestones)
        return [one.id for one in milestones if one.computed]

    assert computed("  - {audience: cart, output: hook}") == []
    assert computed("  - {audience: trial/deep, output: hook}") == ["trial/one", "trial/deep"]
    assert computed("  - {audience: trial/deep, output: hook, status: inactive}") == []
    assert computed("  - {audience: trial/two, output: hook}") == ["trial/two"]


def test_a_value_that_is_filled_in_later_is_not_held_against_its_type() -> None:
    settings = '{url: "${URL}", secret: "${SECRET}", batch: "${BATCH}", allow_private: "${P}"}'
    account_of(
        "  - {audience: cart, output: hook}",
        f"outputs:\n  - {{id: hook, connector: webhook, settings: {settings}}}\n",
    )


def test_a_secret_is_never_in_a_problem() -> None:
    settings = '{url: "https://x", secret: hunter2, secrett: hunter2}'
    loaded = load_text(
        HEAD + f"outputs:\n  - {{id: hook, connector: webhook, settings: {settings}}}\n"
    )
    assert {problem.code for problem in loaded.problems} == {"secret-in-clear", "unknown-key"}
    assert "hunter2" not in "".join(map(str, loaded.problems))
