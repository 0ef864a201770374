"""Milestones as audiences."""

from cdp_stream.core.model.criterion import All, AnyOf, MemberOf, Not
from cdp_stream.core.model.definition import Audience, Milestone
from cdp_stream.core.model.journey import audiences_of
from tests.core.accounts import did

A, B = did("a"), did("b")


def of(audience_id):
    return MemberOf(audience_id, f"audience: {audience_id}", "")


def test_milestones_come_depth_first_each_with_its_place():
    milestones = (
        Milestone("one", "One", A, "d1", then=(Milestone("deep", "Deep", B, "d2"),)),
        Milestone("two", "Two", B, "d3"),
        Milestone("rest", "Rest", None, "d4"),
    )
    one, deep, two = of("j/one"), of("j/deep"), of("j/two")
    assert list(audiences_of("j", ("travel",), milestones)) == [
        Audience("j/one", "One", ("travel",), All((A,)), True, "d1"),
        Audience("j/deep", "Deep", ("travel",), All((one, B)), True, "d2"),
        Audience("j/two", "Two", ("travel",), All((B, Not(AnyOf((one,))))), True, "d3"),
        Audience("j/rest", "Rest", ("travel",), All((Not(AnyOf((one, two))),)), True, "d4"),
    ]
    assert deep != one


def test_a_remaining_split_below_a_milestone_is_of_its_members():
    milestones = (
        Milestone("p", "P", A, "d", (Milestone("x", "X", B, "d"), Milestone("r", "R", None, "d"))),
    )
    assert list(audiences_of("j", ("travel",), milestones))[2].expression == All(
        (of("j/p"), Not(AnyOf((of("j/x"),))))
    )
