"""Profile ids as arguments: a signed 64-bit integer, negative ones included."""

from __future__ import annotations

import re

import click

from cdp_stream.formats.limits import GREATEST_MPID, LEAST_MPID

_NEGATIVE = re.compile(r"-\d+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


class Mpid(click.ParamType):
    """A profile id: a signed 64-bit integer."""

    name = "MPID"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the argument; a usage error when it is not a valid profile id."""
        text = str(value).strip()
        if not _INTEGER.fullmatch(text) or not LEAST_MPID <= int(text) <= GREATEST_MPID:
            self.fail(f"{text!r} is not a valid profile id; write a 64-bit integer", param, ctx)
        return int(text)


class TakesNegatives(click.Command):
    """A command to which `-7` is an argument, not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a space before it, so that the parser reads an argument; `Mpid` ignores the space."""
        valued = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        before = ["", *args]
        words = [
            f" {word}" if _NEGATIVE.fullmatch(word) and last not in valued else word
            for last, word in zip(before, args, strict=False)
        ]
        return super().parse_args(ctx, words)
