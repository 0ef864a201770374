"""Who reaches into the private parts of aiokafka and Faust, and what each patch says of itself."""

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PATCHES = CHECKOUT / "cdp_stream/kafka/aiokafka_patches"
ADAPTER = CHECKOUT / "cdp_stream/kafka/faust_adapter"
MODULES = [
    path
    for folder in ("cdp_stream", "topologies")
    for path in sorted((CHECKOUT / folder).rglob("*.py"))
    if PATCHES not in path.parents
]
EXCEPT = {
    # Connectors do not know kafka/: its sequence numbers tell this one when to begin anew.
    "cdp_stream/connectors/partners/kafka_topic.py": {"_txn_manager", "_sequence_numbers"},
}


def private_names(package: str) -> set[str]:
    """Every private attribute that the sources of an installed package mention."""
    # By its path: once it is imported, Faust is an object without a spec.
    folder = Path(pytest.__file__).parents[1] / package
    text = "".join(path.read_text("utf-8") for path in folder.rglob("*.py"))
    assert text
    return set(re.findall(r"\.(_[a-z]\w*)", text))


AIOKAFKA = private_names("aiokafka")
FAUST = private_names("faust") | private_names("mode")


def reached_into(source: str) -> set[str]:
    """The private names that a module reads or sets of anything but itself."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        and not (isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()")
    }


def test_only_the_patches_and_the_adapter_reach_into_private_parts():
    found = {}
    for path in MODULES:
        name, source = str(path.relative_to(CHECKOUT)), path.read_text("utf-8")
        foreign = AIOKAFKA - FAUST if ADAPTER in path.parents else AIOKAFKA | FAUST
        own = set(re.findall(r"(?:def |self\.)(_[a-z]\w*)", source))
        found[name] = (reached_into(source) & foreign) - own - EXCEPT.get(name, set())
    assert {name: names for name, names in found.items() if names} == {}


def test_a_private_part_that_is_reached_into_is_seen():
    source = "class A:\n  def f(self, c):\n    return self._own, c._fetcher, super()._sender, c.x\n"
    assert reached_into(source) & AIOKAFKA == {"_fetcher"}
    assert "_fetch_max_bytes" in AIOKAFKA - FAUST


@pytest.mark.parametrize("path", sorted(PATCHES.glob("[a-z]*.py")), ids=lambda path: path.name)
def test_a_patch_says_for_which_release_and_until_when_and_has_tests(path):
    said = " ".join(ast.get_docstring(ast.parse(path.read_text("utf-8"))).split())
    assert f"For aiokafka {version('aiokafka')}" in said
    assert "Unnecessary once" in said
    assert (CHECKOUT / "tests/kafka/aiokafka_patches" / f"test_{path.name}").is_file()
