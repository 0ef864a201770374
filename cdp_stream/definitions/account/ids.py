"""Which ids are in use, and where: unique over all files, each kind in its own namespace."""

from __future__ import annotations

from dataclasses import dataclass, field

from cdp_stream.definitions.source.nodes import Mark
from cdp_stream.definitions.source.problems import Problems


@dataclass(slots=True)
class Ids:
    """One namespace.

    Attributes:
        what: what has these ids, for messages: `an input`.
    """

    what: str
    problems: Problems
    used: dict[str, Mark] = field(default_factory=dict)

    def claim(self, name: str, mark: Mark, path: str) -> bool:
        """Use an id; false, with the problem noted, when it is in use already."""
        earlier = self.used.get(name)
        if earlier is None:
            self.used[name] = mark
            return True
        message = f"{self.what} `{name}` is already defined at {earlier.file}:{earlier.line}"
        self.problems.error("duplicate-id", mark, path, message, "give one of the two another id")
        return False
