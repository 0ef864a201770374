"""Devices of a profile and discs on the map as truths."""

from __future__ import annotations

from itertools import islice

from cdp_stream.core.geo import distance_m
from cdp_stream.lint.circuit import Circuit
from cdp_stream.lint.profile_value import MAX_COMPARED
from cdp_stream.lint.values import Form, Shape, form_implies

MARGIN_M = 1.0
"""So far apart, at least, are points that rounding might bring together."""

Disc = tuple[float, float, float]
"""Latitude and longitude, degrees; metres."""


class Devices:
    """The devices of a profile in one workspace: a test holds when some device passes it."""

    def __init__(self, circuit: Circuit, workspace: str, active: int) -> None:
        self._circuit = circuit
        self._any = circuit.atom(("device", workspace))
        self._fields: dict[str, dict[Form, int]] = {}
        self._workspace = workspace
        circuit.imply(self._any, active)

    def passes(self, field_name: str, form: Form) -> int:
        """The literal of some device's passing a test on a field."""
        if form.shape is Shape.SOME:
            single = (Form(Shape.SOME, frozenset((one,))) for one in form.properties)
            return self._circuit.disjunction(self._atom(field_name, one) for one in single)
        return self._atom(field_name, form)

    def _atom(self, field_name: str, form: Form) -> int:
        forms = self._fields.setdefault(field_name, {})
        return forms.setdefault(
            form, self._circuit.atom(("device", self._workspace, field_name, form))
        )

    def state_facts(self) -> None:
        """Note how the tests in use go together: a device passes a test or its complement."""
        for field_name, forms in self._fields.items():
            for form in list(forms):
                self._state_complement(field_name, form)
            pairs = ((a, b) for a in forms for b in forms if a is not b)
            for one, other in islice(pairs, MAX_COMPARED):
                if form_implies(one, other):
                    self._circuit.imply(forms[one], forms[other])

    def _state_complement(self, field_name: str, form: Form) -> None:
        literal = self._atom(field_name, form)
        self._circuit.imply(literal, self._any)
        if form.shape is Shape.NONE:
            some = self.passes(field_name, Form(Shape.SOME, form.properties))
            self._circuit.state(-self._any, literal, some)
        elif form.shape is Shape.ABSENT:
            self._circuit.state(-self._any, literal, self._atom(field_name, Form(Shape.PRESENT)))


def state_discs(circuit: Circuit, discs: dict[Disc, int]) -> None:
    """Note which discs lie in others, and which lie apart: distances on a sphere keep to the
    triangle inequality.
    """
    pairs = ((a, b) for a in discs for b in discs if a is not b)
    for one, other in islice(pairs, MAX_COMPARED):
        if one[:2] == other[:2]:
            if one[2] <= other[2]:
                circuit.imply(discs[one], discs[other])
            continue
        between = distance_m(*one[:2], *other[:2])
        if between + one[2] + MARGIN_M <= other[2]:
            circuit.imply(discs[one], discs[other])
        elif between - MARGIN_M > one[2] + other[2]:
            circuit.state(-discs[one], -discs[other])
