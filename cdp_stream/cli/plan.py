"""``cdp plan``: what applying definition files would change."""

import click

from cdp_stream.cli.applying import applying_options, as_json, as_text, planned

__all__ = ["command"]


@click.command(
    "plan",
    help="Show what `cdp apply` would change against what is applied; writes nothing. The files "
    "are all of the account's: what is not in them is removed.\n\n"
    "Example: cdp plan definitions/ --broker localhost:9092",
)
@applying_options
def command(files: tuple[str, ...], as_json_: bool, **flags: str | None) -> int:
    """Print the plan."""
    plan = planned(files, **flags)
    click.echo(as_json(plan.changes) if as_json_ else as_text(plan))
    return 0
