"""`cdp import`: other products' audience definitions, turned into ours."""
# ruff: noqa: N999 - a verb's module has the verb's name

from __future__ import annotations

import re
from pathlib import Path

import click

from cdp_stream.cli.options import with_default
from cdp_stream.definitions.account.schema import ID_PATTERN
from cdp_stream.definitions.load import read_documents
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.errors import InputError, UsageError
from cdp_stream.imports.convert import Converter
from cdp_stream.imports.models import Models, model_of
from cdp_stream.imports.read_audience_sdk import DefinitionReader
from cdp_stream.imports.write import Frame, written

_NOT_IN_IDS = re.compile(r"[^a-z0-9._-]+")


@click.group("import", epilog="Example: cdp import audience-sdk definition.json > audience.yaml")
def command() -> None:
    """Translate an audience definition of another product into a definition file."""


@command.command(
    "audience-sdk",
    epilog="Example: cdp import audience-sdk definition.json --model orders=commerce:purchase",
)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--id", "audience_id", metavar="ID", help="The audience's id.  [default: the file's]")
@with_default(
    "--account", default="imported", metavar="ID", help="The account in the written file."
)
@with_default("--workspace", default="main", metavar="ID", help="The workspace of the audience.")
@click.option("--bare", is_flag=True, help="Leave out account and workspaces.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=SUBJECT",
    help="The subject of a model, as orders=commerce:purchase; repeat for several.",
)
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="THEIRS=OURS",
    help="Our id of an audience that the definition refers to; repeat for several.",
)
def audience_sdk(
    file: str,
    audience_id: str | None,
    account: str,
    workspace: str,
    bare: bool,
    models: tuple[str, ...],
    audiences: tuple[str, ...],
) -> None:
    """Translate the JSON of mParticle's audience-sdk into a definition file, on standard output.

    What cannot be expressed is left out, and named in a comment there and on standard error.
    """
    audience_id = audience_id or _id_of(file)
    for flag, name in (("id", audience_id), ("account", account), ("workspace", workspace)):
        _checked(flag, name)
    named = Models(dict(map(model_of, models)))
    referred = dict(map(_pair, audiences))
    problems = Problems()
    definition = None
    for _, document in read_documents([file], problems):
        if document is not None:
            definition = DefinitionReader(problems).definition(document)
    for problem in problems.sorted():
        click.echo(str(problem), err=True)
    if definition is None:
        raise InputError(
            "the file is not a definition of the audience-sdk", "correct the listed problems"
        )
    converted = Converter(audience_id, workspace, named, referred).convert(definition)
    for note in converted.notes:
        click.echo(str(note), err=True)
    if converted.criteria is None:
        raise InputError(
            f"nothing of {file} can be expressed",
            "write the audience by hand; see docs/importing.md",
        )
    frame = Frame(None if bare else account, workspace, audience_id, Path(file).name)
    click.echo(written(converted, frame), nl=False)


def _id_of(file: str) -> str:
    """An id made of a file's name."""
    return _NOT_IN_IDS.sub("-", Path(file).stem.lower()).strip("-._")[:64] or "imported"


def _checked(flag: str, name: str) -> None:
    if not re.fullmatch(ID_PATTERN, name):
        raise UsageError(
            f"--{flag} {name}: an id has 1 to 64 of a-z 0-9 . _ - and begins with one of a-z 0-9",
            "choose another",
        )


def _pair(text: str) -> tuple[str, str]:
    theirs, _, ours = text.partition("=")
    _checked("audience", ours.partition("/")[0])
    return theirs, ours
