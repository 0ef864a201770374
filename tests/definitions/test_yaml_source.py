"""YAML 1.2: what scalars mean, where nodes are, and that hostile files end soon."""

import math

import pytest

from cdp_stream.definitions.source.nodes import Mapping, Scalar, Sequence
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse


def read(text: str | bytes) -> tuple[Mapping | None, list[str]]:
    problems = Problems()
    content = text if isinstance(text, bytes) else text.encode()
    return parse(content, "f.yaml", problems), [problem.code for problem in problems.found]


def value_of(written: str) -> object:
    root, codes = read(f"key: {written}\n")
    assert not codes
    assert root is not None
    node = root.get("key")
    assert isinstance(node, Scalar)
    return node.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("True", True),
        ("false", False),
        ("FALSE", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nil", "nil"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1e999", math.inf),
        ("12:30", "12:30"),
        ("1:30:00", "1:30:00"),
        ("2018-09-09", "2018-09-09"),
        ("2018-09-09T10:00:00Z", "2018-09-09T10:00:00Z"),
        ("'true'", "true"),
        ('"10"', "10"),
        ("'~'", "~"),
        ("30d", "30d"),
        ("=", "="),
        ("<<", "<<"),
        ("!!str 10", "10"),
        ("! 10", "10"),
        ('!!int "10"', 10),
        ("!!float 1", 1.0),
        ("!!bool true", True),
        ("!!null ''", None),
        ("|\n  two\n  lines", "two\nlines\n"),
    ],
)
def test_a_scalar_means_what_the_core_schema_says(written: str, value: object) -> None:
    found = value_of(written)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number() -> None:
    found = value_of(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_words_and_numbers_are_keys_as_they_are_written() -> None:
    root, codes = read("{on: 1, yes: 2, true: 3, 010: 4, ~: 5, '6': 6}")
    assert codes == []
    assert root is not None
    assert list(root.entries) == ["on", "yes", "true", "010", "~", "6"]


def test_every_node_knows_its_line_and_column() -> None:
    root, _ = read("# first\nä: [1, {b: x}]\nc:\n  - d\n")
    assert root is not None
    listed = root.get("ä")
    assert isinstance(listed, Sequence)
    inner = listed.items[1]
    assert isinstance(inner, Mapping)
    other = root.get("c")
    assert isinstance(other, Sequence)
    marks = [listed.mark, listed.items[0].mark, inner.mark_of("b"), other.items[0].mark]
    assert [(mark.file, mark.line, mark.column) for mark in marks] == [
        ("f.yaml", 2, 4),
        ("f.yaml", 2, 5),
        ("f.yaml", 2, 9),
        ("f.yaml", 4, 5),
    ]


def test_json_is_accepted_as_json_writers_write_it() -> None:
    written = '{\n\t"version":1,\n\t"name":"\\ud83d\\ude00 \\/ \\u00e9",\n\t"on":[true,null]}'
    root, codes = read(written)
    assert codes == []
    assert root is not None
    assert root.text("name") == "\N{GRINNING FACE} / é"


def test_a_byte_order_mark_is_no_content() -> None:
    root, codes = read(b"\xef\xbb\xbfversion: 1\n")
    assert codes == []
    assert root is not None
    assert list(root.entries) == ["version"]


def test_an_alias_is_the_node_that_it_names() -> None:
    root, codes = read("a: &x {k: [1, 2]}\nb: *x\n")
    assert codes == []
    assert root is not None
    assert root.get("a") is root.get("b")


def test_a_duplicate_key_names_the_earlier_line_and_its_path() -> None:
    problems = Problems()
    parse(b"a:\n  - b: 1\n    c: 2\n    b: 3\n", "f.yaml", problems)
    found = problems.found[0]
    assert (found.code, found.line, found.column, found.path) == ("duplicate-key", 4, 5, "a[0].b")
    assert "line 2" in found.message


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BOMB, "alias-limit"),
        (CHAIN, "too-deep"),
        ("k: " + "[" * 10_000, "too-deep"),
        ("k: " + "{a: " * 10_000, "too-deep"),
        ("- " * 10_000, "too-deep"),
        ("? " * 10_000, "wrong-type"),
        ("\n".join(" " * depth + "a:" for depth in range(2_000)), "too-deep"),
        ("[" * 4_000_000, "too-deep"),
        ("k: &k [*k]", "bad-yaml"),
        ("k: !!python/object/apply:os.system [ls]", "tag-not-allowed"),
        ("k: !!python/name:os.system x", "tag-not-allowed"),
        ("k: !local {a: b}", "tag-not-allowed"),
        ("k: !!set {a, b}", "tag-not-allowed"),
        ("k: !!binary aGk=", "tag-not-allowed"),
        ("k: " + "9" * 5_000, "number-too-long"),
        ("k: 0x" + "f" * 5_000, "number-too-long"),
        ("a: 1\n--- \nb: 2\n", "several-documents"),
        ("", "empty-file"),
        ("---\n...\n", "empty-file"),
        ("null", "empty-file"),
        ("k: \x07", "bad-yaml"),
        ("k: 'open", "bad-yaml"),
        ("k: *nothing", "bad-yaml"),
        ('k: "\\ud83d"', "bad-yaml"),
    ],
)
def test_a_hostile_file_is_refused_by_its_code(text: str, code: str) -> None:
    _, codes = read(text)
    assert codes == [code]


def test_utf_16_is_not_utf_8() -> None:
    assert read("version: 1\n".encode("utf-16")) == (None, ["not-utf-8"])
