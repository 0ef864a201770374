"""`cdp config`: every setting, its value and its source."""

from __future__ import annotations

import json
import os

import click

from cdp_stream.cli.options import SETTINGS_FILE, json_option
from cdp_stream.settings import check_security, gathered_settings


@click.command(epilog="Example: cdp config --json")
@json_option('One {"name", "value", "source"} a line.')
def command(as_json: bool) -> None:
    """Print every setting with its value and its source: a flag, the environment, cdp.toml or the
    default. Then print on standard error which settings contradict each other.
    """
    settings, sources = gathered_settings({}, os.environ, SETTINGS_FILE)
    width = max(len(source.name) for source in sources)
    for source in sources:
        value = (
            source.value
            if isinstance(source.value, int | float | str | None)
            else str(source.value)
        )
        if as_json:
            click.echo(json.dumps({"name": source.name, "value": value, "source": source.source}))
        else:
            click.echo(
                f"{source.name:<{width}}  {'' if value is None else value}  ({source.source})"
            )
    check_security(settings)
