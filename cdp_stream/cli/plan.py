"""``cdp plan``: what applying definition files would change."""

import click

from cdp_stream.cli.applying import applying_options, as_json, as_text, planned

__all__ = ["command"]

EXIT_CHANGES = 2


@click.command(
    "plan",
    help="Show what `cdp apply` would change; writes nothing. The files are the whole account: "
    "what is not in them is removed.\n\n"
    "Example: cdp plan definitions/ --broker localhost:9092",
)
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 0 when nothing changes, 2 when something does, and 1 on every error.",
)
@applying_options
def command(
    files: tuple[str, ...],
    as_json_: bool,
    count_members: bool,
    detailed_exitcode: bool,
    **flags: str | None,
) -> int:
    """Print the plan; return the exit code."""
    plan = planned(files, count_members=count_members, **flags)
    click.echo(as_json(plan) if as_json_ else as_text(plan))
    return EXIT_CHANGES if detailed_exitcode and plan.changes else 0
