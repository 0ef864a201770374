"""docs/architecture.md: its table of packages is that of the contracts, and covers them all."""

import pytest

from tests.docs.console import ROOT
from tests.docs.module_table import PAGE, layers, made_table, package, part_of, parts

LAYERED = sorted(name for names in layers() for name in names)
PACKAGES = [
    one.name
    for found in map(package, LAYERED)
    for one in (found, *parts(found))
    if (ROOT / one.path).is_dir()
]
TOP = sorted(
    f"cdp_stream.{path.stem}"
    for path in (ROOT / "cdp_stream").iterdir()
    if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
)


def test_the_table_is_that_of_the_contracts():
    """`python -m tests.docs.module_table` writes it anew."""
    assert part_of(PAGE.read_text()) == made_table()


def test_every_package_is_in_a_layer():
    assert sorted({*TOP, "topologies"}) == LAYERED


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_states_what_it_is_for_and_where_to_start(name):
    found = package(name)
    assert found.decides.endswith(".")
    assert found.start is not None
    assert (ROOT / found.path / found.start).is_file()
