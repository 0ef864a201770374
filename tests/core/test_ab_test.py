"""A/B tests: stable buckets, shares, and the variant in every change."""

from dataclasses import replace
from hashlib import sha256

from cdp_stream.core.model.ab_test import bucket_of, variant_of
from cdp_stream.core.model.definition import AbTest, Variant
from tests.core.accounts import DAY, Profile, audience, did, plan_of

HALVES = AbTest("spring", (Variant("A", 5_000), Variant("Control", 10_000)))
THIRDS = AbTest("spring", (Variant("A", 4_000), Variant("B", 8_000), Variant("Control", 10_000)))


def test_a_bucket_is_of_the_digest_of_seed_and_profile():
    digest = sha256(b"spring:-7").hexdigest()
    assert bucket_of("spring", -7) == int(digest[:16], 16) % 10_000


def test_shares_are_as_written_and_growing_one_moves_nobody_between_the_others():
    profiles = range(100_000)
    grown = AbTest("spring", (Variant("A", 4_000), Variant("B", 9_000), Variant("Control", 10_000)))
    before = [variant_of(THIRDS, mpid) for mpid in profiles]
    after = [variant_of(grown, mpid) for mpid in profiles]
    for name, share in (("A", 0.4), ("B", 0.4), ("Control", 0.2)):
        assert abs(before.count(name) / len(profiles) - share) < 0.005
    moved = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {("Control", "B")}


def test_every_change_has_the_variant_and_its_name():
    tested = replace(audience("a", did("play")), ab_test=HALVES)
    profile = Profile(plan_of(tested))
    profile.does("play", 0)
    (added,) = profile.changes
    variant = variant_of(HALVES, 1)
    assert (added.variant, added.audience_name) == (variant, f"A - {variant}")
    profile.waits(9 * DAY)
    (deleted,) = profile.changes
    assert (deleted.variant, deleted.audience_name) == (variant, f"A - {variant}")
    assert profile.row.variants == {}


def test_a_delete_has_the_variant_of_its_add_though_the_shares_have_changed():
    shares = {"A": (0, 10_000), "Control": (10_000, 10_000)}
    until, _all = shares[variant_of(HALVES, 1)]
    tested = replace(audience("a", did("play")), ab_test=HALVES)
    profile = Profile(plan_of(tested))
    profile.does("play", 0)
    joined = profile.changes[0].variant
    other = AbTest("spring", (Variant("A", until), Variant("Control", 10_000)))
    assert variant_of(other, 1) != joined
    later = Profile(plan_of(replace(tested, ab_test=other)))
    later.row = profile.row
    later.waits(9 * DAY)
    assert later.changes[0].variant == joined
