"""Exact numbers: what is one, what it is, and how it is rounded at the end."""

import pytest

from cdp_stream.core.calculations.decimals import (
    decimal_of,
    less,
    minus,
    pack,
    plus,
    quotient,
    unpack,
)
from cdp_stream.core.model.operators import MISSING


@pytest.mark.parametrize(
    ("value", "decimal"),
    [
        (5, (5, 0)),
        (-(2**63), (-(2**63), 0)),
        (2**64 - 1, (2**64 - 1, 0)),
        (0.1, (1, 1)),
        (5.0, (5, 0)),
        (-0.0, (0, 0)),
        (1e22, (10**22, 0)),
        (1e300, (10**300, 0)),
        (5e-324, (5, 324)),
        ("5", (5, 0)),
        (" 5.50 ", (55, 1)),
        ("+.5", (5, 1)),
        ("-5.", (-5, 0)),
        ("1.5e3", (1500, 0)),
        ("1.5E-3", (15, 4)),
        ("1e+0002", (100, 0)),
        ("120e-1", (12, 0)),
        ("0.1000000000000000000000000001", (10**27 + 1, 28)),
        ("1e-99999999", (0, 0)),
        ("1e-400", (1, 400)),
        ("1e-401", (0, 0)),
        ("0." + "1" * 500, (int("1" * 400), 400)),
        ("-0." + "0" * 100_000 + "1", (0, 0)),
        ("0." + "0" * 100_000 + "1e100001", (1, 0)),
        ("0e" + "9" * 5_000, (0, 0)),
        ("0" * 5_000 + "7", (7, 0)),
        ("7" + "0" * 300 + "e-300", (7, 0)),
    ],
)
def test_a_number_is_what_is_written(value, decimal):
    assert decimal_of(value) == decimal


@pytest.mark.parametrize(
    "value",
    [
        *(None, MISSING, True, False, "", "x", "1x", "1,5", "٣", [1], {"a": 1}),
        *("nan", "inf", float("inf"), float("nan"), "1e400", "1e99999999", "9" * 400, "9" * 5_000),
        *("0x10", "1_000", "--1", "1e", ".", "e5"),
    ],
)
def test_anything_else_is_none(value):
    assert decimal_of(value) is None


def test_sums_have_no_binary_error():
    assert quotient(plus((1, 1), (2, 1))) == 0.3
    assert minus(plus((1, 1), (10**300, 0)), (10**300, 0)) == (1, 1)


def test_whole_results_are_integers_and_others_the_nearest_float():
    assert repr(quotient((30, 1))) == "3"
    assert repr(quotient((1, 0), 3)) == "0.3333333333333333"
    assert repr(quotient((2**53 + 1, 0), 2)) == "4503599627370496.0"
    assert repr(quotient((10**17 + 1, 1))) == "1e+16"
    assert repr(quotient((-7, 0), 7)) == "-1"


def test_what_is_beyond_floats_is_rounded_to_an_integer():
    assert quotient((10**401 + 5, 1)) == 10**400 + 1
    assert quotient((10**401 + 4, 1)) == 10**400


def test_order_is_exact_where_floats_are_equal():
    assert less((2**60, 0), (2**60 * 10 + 1, 1))
    assert not less((2**60 * 10 + 1, 1), (2**60, 0))
    assert not less((10, 0), (10, 0))
    assert less((-1, 3), (1, 400))


@pytest.mark.parametrize(
    "integer", [0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**300, -(10**300), -(2**71)]
)
def test_integers_of_any_size_are_packed_and_come_back(integer):
    packed = pack(integer)
    assert unpack(packed) == integer
    assert (type(packed) is int) == (-(2**63) <= integer < 2**63)
