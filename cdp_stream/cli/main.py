"""The ``cdp`` command: runs the verb's module, and prints an error as one line.

A verb's module is imported when the verb is called or its help is shown, so that ``cdp check``
does not load Faust. Exit codes: 0 done, 1 the input is wrong, 2 usage, 3 something outside failed.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from cdp_stream.errors import CdpError

__all__ = ["VERBS", "cli", "main"]

EXIT_ERROR = 1
EXIT_OUTSIDE = 3
EXIT_INTERRUPTED = 130

DETAILED_EXITCODE = "--detailed-exitcode"
"""A flag of `cdp plan`: every error exits with 1, whatever it is."""

VERBS = {
    "demo": "Show the product at work on real purchases.",
    "init": "Create a starter folder: definitions, a test, sample events.",
    "check": "Check definitions.",
    "plan": "Show what applying definitions would change.",
    "apply": "Apply definitions to running workers.",
    "replay": "Run definitions over an event file, without Kafka.",
    "members": "Print the members of an audience at an instant, from an event file.",
    "explain": "Show why a profile is, or is not, in an audience at an instant.",
    "test": "Run definition tests.",
    "import": "Translate definitions of other products.",
    "broker": "Run the embedded broker, for development.",
    "worker": "Run one worker process.",
    "outputs": "Show, pause and resume outputs.",
    "rejected": "Show what was rejected, and send it again.",
    "produce": "Publish batches from a file.",
    "erase": "Erase profiles: end their memberships and remove their state.",
    "repartition": "Give a stopped system more partitions, and move its state.",
    "generate": "Write a seeded synthetic event stream.",
    "connectors": "Print the connectors and their settings, or create a new one.",
    "config": "Print every setting, its value and its source.",
    "bench": "Run benchmarks against the budgets.",
}
"""One line of help by verb; verb ``x`` is the click command ``command`` of ``cdp_stream.cli.x``."""


class _Verbs(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order a newcomer needs them in."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None for an unknown word."""
        if cmd_name not in VERBS:
            return None
        found = import_module(f"cdp_stream.cli.{cmd_name}").command
        if not isinstance(found, click.Command):
            raise TypeError(f"cdp_stream.cli.{cmd_name}.command is not a click command")
        return found

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a closed pipe, as with `| head`, ends it without an error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Caught here, because click exits with 1. Buffered output is discarded.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that ``cdp --help`` imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Audiences and journeys over an event stream in Kafka.\n\nExample: cdp demo",
)
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
@click.version_option(package_name="cdp-stream", prog_name="cdp")
def cli(debug: bool) -> None:
    """Define the flags that every verb shares; ``main`` reads ``--debug`` by itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one ``cdp`` command line.

    A verb may return its exit code; anything else that it returns counts as 0.

    Returns:
        The exit code; the console script returns it to the shell.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    # It may be before or after the verb.
    words = [word for word in words if word != "--debug"] or ["--help"]
    try:
        # Click omits colours without a terminal, but does not read NO_COLOR.
        color = False if os.environ.get("NO_COLOR") else None
        code = cli.main(args=words, prog_name="cdp", standalone_mode=False, color=color)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        line, code = _command_missing(error.ctx), error.exit_code
    except click.ClickException as error:
        line, code = _usage_line(error), error.exit_code
    except CdpError as error:
        if debug:
            traceback.print_exc()
        line, code = str(error), error.exit_code
    except Exception as error:  # noqa: BLE001 - the outer edge: every error becomes one line
        if debug:
            traceback.print_exc()
        # A worker writes a log, and an unforeseen exception may contain personal data.
        detail = "" if words[0] == "worker" and not isinstance(error, OSError) else f": {error}"
        line = " ".join(f"{type(error).__name__}{detail}".split())
        advice = "" if debug else "; run it again with --debug for the traceback"
        line, code = f"{line}{advice}", EXIT_OUTSIDE
    # With that flag 2 means that something changes.
    return _fail(line, EXIT_ERROR if DETAILED_EXITCODE in words else code)


def _command_missing(context: click.Context | None) -> str:
    assert context is not None
    assert isinstance(context.command, click.Group)
    choices = ", ".join(f"`{name}`" for name in context.command.list_commands(context))
    path = context.command_path
    return f"`{path}` needs a command: {choices}; see `{path} --help`"


def _usage_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "cdp"
    return f"{message}; see `{path} --help`"


def _fail(line: str, code: int) -> int:
    click.echo(f"cdp: {line}", err=True)
    return code
