"""`cdp connectors`: the connectors with their settings; `cdp connectors new`: creates one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import click

from cdp_stream.cli.options import json_option
from cdp_stream.errors import UsageError


@click.group(invoke_without_command=True, epilog="Example: cdp connectors --connector webhook")
@click.option(
    "--connector", "names", multiple=True, metavar="NAME", help="Only this one; repeat for several."
)
@json_option("One object a line.")
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Print the connectors: what they accept, how they batch changes, what the deletion of an
    audience does, and their settings.
    """
    if context.invoked_subcommand is not None:
        return
    from cdp_stream.connectors.describing import as_json as described
    from cdp_stream.connectors.registry import CONNECTORS, connector_class

    for name in names:
        if name not in CONNECTORS:
            near = get_close_matches(name, CONNECTORS, 1)
            known = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(CONNECTORS)}"
            raise UsageError(f"there is no connector `{name}`", known)
    for place, name in enumerate(names or CONNECTORS):
        if as_json:
            click.echo(json.dumps(described(connector_class(name))))
        else:
            click.echo("\n" * (place > 0) + "\n".join(_lines(name)))


@command.command(epilog="Example: cdp connectors new acme-mail")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default=".",
    help="Where to write; in a checkout of cdp-stream the files are placed in their folders.",
)
def new(name: str, directory: Path) -> None:
    """Write the first files of a connector: the connector, which works, and its test.

    No file is overwritten.
    """
    from cdp_stream.connectors.scaffold import class_name, scaffold

    paths = scaffold(name, directory)
    for path in paths:
        click.echo(f"wrote {path}")
    if paths[0].parent == directory:
        click.echo("next: move them to cdp_stream/connectors and tests/connectors of a checkout")
    entry = f'"{name}": "{name.replace("-", "_")}:{class_name(name)}",'
    click.echo(f"next: add the line {entry} to CONNECTORS in cdp_stream/connectors/registry.py")


def _lines(name: str) -> Iterator[str]:
    from cdp_stream.connectors.describing import (
        DELETIONS,
        PATTERNS,
        batching_words,
        rate_words,
        settings_of,
    )
    from cdp_stream.connectors.registry import connector_class

    connector = connector_class(name)
    yield f"{name}: {connector.summary}"
    facts = [
        ("pattern", f"{connector.pattern}: {PATTERNS[connector.pattern]}"),
        ("identities", _listed(sorted(connector.identities or ())) or "every type"),
        ("user attributes", "yes" if connector.takes_attributes else "no"),
        ("sent after", batching_words(connector)),
        ("at most", rate_words(connector)),
        ("deleted audience", DELETIONS[connector.on_audience_delete]),
        ("needs", connector.extra and f"pip install 'cdp-stream[{connector.extra}]'"),
    ]
    for title, text in facts:
        if text:
            yield f"  {title:<16} {text}"
    for title, model in (
        ("settings", connector.output_settings),
        ("connection", connector.connection_settings),
    ):
        for setting in settings_of(model):
            marks = [setting.type]
            marks += ["secret"] if setting.secret else []
            marks += ["required"] if setting.required else []
            marks += [f"default {setting.default}"] if setting.default is not None else []
            yield f"  {title:<16} {setting.name} ({', '.join(marks)}): {setting.description}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
