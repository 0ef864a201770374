"""Groups compiled to a flat list of decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.criterion import All, AnyOf, MemberOf, Not
from cdp_stream.core.model.row import Row
from cdp_stream.core.plan.expression import FALSE, TRUE, compile_expression, leaves_of

A, B, C = (MemberOf(name, name, "") for name in "abc")


class Said:
    """A leaf whose verdict is given; notes that it was asked."""

    audiences = ()

    def __init__(self, name, verdict, asked):
        self.name, self.verdict, self.asked = name, verdict, asked

    def holds(self, _row, _at):
        self.asked.append(self.name)
        return self.verdict


def verdict(expression, **verdicts):
    """The expression's verdict, and the leaves asked for it, in order."""
    asked: list[str] = []
    leaves = {name: Said(name, value, asked) for name, value in verdicts.items()}
    compiled = compile_expression(expression, lambda leaf: leaves[leaf.audience_id])
    return compiled.holds(Row(1), 0), "".join(asked)


@pytest.mark.parametrize(
    ("expression", "verdicts", "answer", "asked"),
    [
        (A, {"a": True}, True, "a"),
        (A, {"a": False}, False, "a"),
        (Not(A), {"a": True}, False, "a"),
        (Not(Not(A)), {"a": True}, True, "a"),
        (All((A, B)), {"a": False, "b": True}, False, "a"),
        (All((A, B)), {"a": True, "b": True}, True, "ab"),
        (AnyOf((A, B)), {"a": True, "b": False}, True, "a"),
        (AnyOf((A, B)), {"a": False, "b": False}, False, "ab"),
        (AnyOf((All((A, B)), C)), {"a": True, "b": False, "c": True}, True, "abc"),
        (All((A, Not(AnyOf((B, C))))), {"a": True, "b": False, "c": True}, False, "abc"),
        (All((A, Not(AnyOf((B, C))))), {"a": True, "b": True, "c": True}, False, "ab"),
        (All((A, A)), {"a": True}, True, "aa"),
    ],
)
def test_no_leaf_is_asked_that_cannot_matter(expression, verdicts, answer, asked):
    assert verdict(expression, **verdicts) == (answer, asked)


@pytest.mark.parametrize(
    ("expression", "entry"),
    [(All(()), TRUE), (AnyOf(()), FALSE), (Not(All(())), FALSE), (All((AnyOf(()),)), FALSE)],
)
def test_an_empty_group_is_its_answer(expression, entry):
    compiled = compile_expression(expression, lambda leaf: leaf)
    assert compiled.decisions == ()
    assert compiled.entry == entry
    assert compiled.holds(Row(1), 0) is (entry == TRUE)


@pytest.mark.parametrize("group", [lambda e: All((e,)), lambda e: AnyOf((e,)), Not])
def test_nesting_may_be_deeper_than_the_stack(group):
    expression = A
    for _ in range(5_000):
        expression = group(expression)
    assert verdict(expression, a=True) == (True, "a")
    assert leaves_of(expression) == [A]


def test_leaves_are_listed_in_written_order():
    assert leaves_of(All((A, Not(AnyOf((B, A))), C))) == [A, B, A, C]


def groups(children):
    several = st.lists(children, max_size=3).map(tuple)
    return several.map(All) | several.map(AnyOf) | children.map(Not)


def plainly(expression, verdicts):
    match expression:
        case All(children):
            return all(plainly(child, verdicts) for child in children)
        case AnyOf(children):
            return any(plainly(child, verdicts) for child in children)
        case Not(child):
            return not plainly(child, verdicts)
        case _:
            return verdicts[expression.audience_id]


@given(
    expression=st.recursive(st.sampled_from([A, B, C]), groups, max_leaves=12),
    verdicts=st.fixed_dictionaries({name: st.booleans() for name in "abc"}),
)
def test_the_decision_list_answers_as_the_expression_reads(expression, verdicts):
    assert verdict(expression, **verdicts)[0] is plainly(expression, verdicts)
