"""``cdp apply``: puts definition files in force, in every worker that follows the topic."""

import asyncio
import sys

import click

from cdp_stream.cli.applying import Planned, applying_options, as_json, as_text, planned
from cdp_stream.cli.options import files_of
from cdp_stream.errors import InputError, UsageError

__all__ = ["command"]

EXIT_DECLINED = 1


@click.command(
    "apply",
    help="Show what changes against what is applied, ask, and apply it: workers without "
    "--definitions take it over at once. The files are all of the account's: what is not in them "
    "is removed.\n\nExample: cdp apply definitions/ --broker localhost:9092",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@applying_options
def command(files: tuple[str, ...], yes: bool, as_json_: bool, **flags: str | None) -> int:
    """Apply the files; the exit code is returned."""
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on", "look at `cdp plan`, then apply with --yes"
        )
    plan = planned(files, **flags)
    click.echo(as_json(plan.changes) if as_json_ else as_text(plan))
    if not plan.changes:
        return 0
    if not yes and not click.confirm("\nApply these changes?", err=as_json_):
        click.echo("nothing was applied", err=True)
        return EXIT_DECLINED
    version = asyncio.run(_apply(plan))
    click.echo(f"applied version {version}", err=as_json_)
    return 0


async def _apply(plan: Planned) -> int:
    from cdp_stream.kafka.definitions_topic import MAX_BYTES, publish
    from cdp_stream.kafka.topics import ensure_definitions_topic

    # A producer that was fenced leaves a future behind whose error nobody asks for.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    files = files_of(plan.loaded)
    size = sum(len(file.text.encode("utf-8", "surrogatepass")) for file in files)
    if size > MAX_BYTES // 2:
        raise InputError(
            f"the files have {size:,} bytes, and at most {MAX_BYTES // 2:,} can be applied",
            "leave comments out, or share criteria by `audience:`",
        )
    await ensure_definitions_topic(plan.settings)
    return await publish(plan.settings, plan.account_id, files, after=plan.version)
