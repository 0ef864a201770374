"""Whether something is as a published schema says."""

import json

from jsonschema import Draft7Validator

from tests.docs.console import ROOT

FOLDER = ROOT / "docs/schemas"


def validator(name):
    return Draft7Validator(json.loads((FOLDER / f"{name}.schema.json").read_text()))


def complaints(name, instance):
    return [error.message for error in validator(name).iter_errors(instance)]
