"""What A/B tests mean to the engine: seeds, names and buckets."""

import pytest

from cdp_stream.core.model.definition import AbTest, Variant
from tests.definitions.definition_texts import audience_of, audiences_in


def ab_test_of(text: str) -> AbTest | None:
    return audience_of("{event: A}", own=f"ab_test: {text}").ab_test


def test_shares_add_up_in_the_order_of_the_file_and_control_is_the_rest() -> None:
    text = "{seed: spring, variants: [{name: A, percent: 40}, {name: B, percent: 40}]}"
    assert ab_test_of(text) == AbTest(
        "spring", (Variant("A", 4000), Variant("B", 8000), Variant("Control", 10_000))
    )


@pytest.mark.parametrize(
    ("percents", "until"),
    [
        ("[{percent: 100}]", [10_000, 10_000]),
        ("[{percent: 0}]", [0, 10_000]),
        ("[{percent: 0.01}]", [1, 10_000]),
        ("[{percent: 33.33}, {percent: 33.33}, {percent: 33.34}]", [3333, 6666, 10_000, 10_000]),
        ("[{percent: 0.29}, {percent: 0.57}]", [29, 86, 10_000]),
        ("[{percent: 25.0}, {percent: 1e1}]", [2500, 3500, 10_000]),
        (
            "[{percent: 25}, {percent: 25}, {percent: 25}, {percent: 25}]",
            [2500, 5000, 7500, 10_000, 10_000],
        ),
    ],
)
def test_percentages_are_exact(percents: str, until: list[int]) -> None:
    found = ab_test_of(f"{{variants: {percents}}}")
    assert found is not None
    assert [variant.until for variant in found.variants] == until


def test_a_name_and_a_seed_have_defaults() -> None:
    audiences = audiences_in(
        "audiences:\n"
        "  - id: a\n    criteria: {event: A}\n"
        "    ab_test: {variants: [{percent: 1}, {name: X, percent: 1}, {percent: 1}]}\n"
        "  - {id: b, criteria: {event: A}}\n"
        "journeys:\n  - id: j\n    milestones:\n"
        "      - {id: m, criteria: {event: A}, ab_test: {variants: [{percent: 1}]}}\n"
        "      - {id: r, remaining: true, ab_test: {seed: '', variants: [{percent: 1}]}}\n"
    )
    found = {name: audience.ab_test for name, audience in audiences.items()}
    assert found["a"] is not None
    assert [variant.name for variant in found["a"].variants] == [
        "Variant 1",
        "X",
        "Variant 3",
        "Control",
    ]
    assert found["b"] is None
    assert found["j/m"] is not None
    assert found["j/r"] is not None
    assert (found["a"].seed, found["j/m"].seed, found["j/r"].seed) == ("a", "j/m", "")


def test_an_ab_test_is_in_its_own_digest_and_in_no_others() -> None:
    body = "audiences:\n  - {id: a, criteria: {event: A}%s}\n  - {id: b, criteria: {audience: a}}\n"
    plain = audiences_in(body % "")
    split = audiences_in(body % ", ab_test: {variants: [{percent: 50}]}")
    other = audiences_in(body % ", ab_test: {variants: [{percent: 51}]}")
    assert len({found["a"].digest for found in (plain, split, other)}) == 3
    assert len({found["b"].digest for found in (plain, split, other)}) == 1
