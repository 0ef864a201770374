"""Collects all that is wrong with definitions; each problem has a stable code.

Source: docs/problems.md has a heading for every code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, Literal, get_args

from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Scalar, describe, shown
from cdp_stream.definitions.synonyms import advice_on, is_negative, meanings_of

MAX_WORD: Final = 100
SHORT_WORD: Final = 4
MAX_COMPARED: Final = 500_000
"""The number of words that are compared for near misses: a file may be full of misses."""


class Severity(StrEnum):
    """An error stops whatever was to be done with the definitions, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


AcceptableWarning = Literal[
    "always-true", "beyond-lookback", "contains", "equal", "fading-window", "never-true",
    "unbounded-state", "unconnected", "unreachable-milestone",
]  # fmt: skip
"""Every code of a warning that a definition may accept."""

CODES: Final = (
    "alias-limit", "attributes-not-taken", "bad-count", "bad-date", "bad-distance", "bad-duration",
    "bad-id", "bad-instant", "bad-operand", "bad-operator", "bad-percent", "bad-place", "bad-value",
    "bad-version", "bad-window", "bad-yaml", "conflicting-account", "cycle", "duplicate-api-key",
    "duplicate-id", "duplicate-key", "duplicate-name", "duplicate-tier", "empty-file", "empty-list",
    "file-too-large", "input-outside-workspaces", "lookback-too-long", "many-operators",
    "many-subjects", "misplaced-key", "missing-key", "missing-operator", "missing-subject",
    "name-too-long", "no-expectation", "not-utf-8", "number-too-long", "remaining-split",
    "secret-in-clear", "secret-not-allowed", "several-documents", "shares-over-100",
    "short-sequence", "tag-not-allowed", "tag-too-long", "time-goes-back", "too-deep",
    "too-many-nodes", "too-many-variants", "unknown-city", "unknown-key", "unknown-reference",
    "unread-event", "unreadable-file", "workspace-outside-audience", "wrong-type",
)  # fmt: skip
"""Every code an error may have; kept for ever."""

WARNINGS: Final = (*get_args(AcceptableWarning), "needless-acceptance")
"""Every code a warning may have; kept for ever."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what would be right.

    Attributes:
        code: one of `CODES`, for a warning one of `WARNINGS`.
        line, column: from 1.
        path: from the top of the document, as `audiences[0].criteria.all[1].when`; `document` for
            the whole.
        suggestion: what to write instead; None where the message is enough.
        related: ids of the audiences that it is about, of a containment the containing one first.
        accepted: of a warning that a definition accepts, the reason that it gives; else None.
    """

    severity: Severity
    code: str
    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str | None = None
    related: tuple[str, ...] = ()
    accepted: str | None = None

    def __str__(self) -> str:
        """`file:line:column: path: what is wrong; what would be right [code]`."""
        advice = "" if self.suggestion is None else f"; {self.suggestion}"
        where = f"{self.file}:{self.line}:{self.column}: {self.path}"
        return f"{where}: {self.message}{advice} [{self.code}]"

    def as_json(self) -> dict[str, Any]:
        """The object of `cdp check --json`."""
        return {
            "severity": str(self.severity),
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "suggestion": self.suggestion,
            "related": list(self.related),
        }


@dataclass(slots=True)
class Problems:
    """Collects problems while files are read; nothing stops at the first."""

    found: list[Problem] = field(default_factory=list)
    _compared: int = 0

    def error(
        self,
        code: str,
        at: Mark,
        path: str,
        message: str,
        suggestion: str | None = None,
        related: Iterable[str] = (),
    ) -> None:
        """Note an error; `path` may be empty for the whole document."""
        assert code in CODES, code
        self.found.append(
            Problem(
                Severity.ERROR,
                code,
                at.file,
                at.line,
                at.column,
                path or "document",
                message,
                suggestion,
                tuple(related),
            )
        )

    def wrong_type(
        self, node: Node, path: str, expected: str, suggestion: str | None = None
    ) -> None:
        """Note that a node is of the wrong kind; text may only lack its quotes."""
        if (
            suggestion is None
            and expected.startswith("text")
            and isinstance(node, Scalar)
            and node.raw
        ):
            suggestion = f'in quotes it would be text: "{node.raw[:40]}"'
        self.error(
            "wrong-type",
            node.mark,
            path,
            f"expected {expected}, found {describe(node)}",
            suggestion,
        )

    def text_of(self, node: Node, path: str, expected: str = "") -> str | None:
        """The text that a node is; None, with the problem noted, where it is none.

        Args:
            expected: which text, for the message.
        """
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        self.wrong_type(node, path, f"text, {expected}" if expected else "text")
        return None

    def missing_key(self, node: Mapping, path: str, key: str, advice: str) -> None:
        """Note that a mapping lacks a key that it must have."""
        self.error("missing-key", node.mark, f"{path}.{key}", f"the key `{key}` is missing", advice)

    def unknown_keys(self, node: Mapping, path: str, known: Collection[str]) -> list[str]:
        """Note the keys of a mapping that are not known; returns them."""
        unknown = [key for key in node.entries if key not in known]
        for key in unknown:
            at, message = f"{path}.{shown(key)}", f"unknown key `{shown(key)}`"
            advice = self.word_or_list(key, known)
            self.error("unknown-key", node.mark_of(key), at, message, advice)
        return unknown

    def bad_word(self, node: Node, path: str, message: str, known: Collection[str]) -> None:
        """Note that a text is none of the known words."""
        word = str(node.value) if isinstance(node, Scalar) else ""
        self.error("bad-value", node.mark, path, message, self.word_or_list(word, known))

    def near(self, word: str, known: Collection[str], then: str = "") -> str | None:
        """`did you mean ...?` for a word that is almost one of the known ones, else None; `then`
        follows each of those.
        """
        if len(word) > MAX_WORD or self._compared + len(known) > MAX_COMPARED:
            return None
        self._compared += len(known)
        lowered = word.lower().replace("-", "_").replace(" ", "_")
        candidates = {
            name.lower().replace("-", "_").replace(" ", "_"): name for name in sorted(known)
        }
        match = get_close_matches(
            lowered, candidates, n=1, cutoff=0.6 if len(word) <= SHORT_WORD else 0.7
        )
        return f"did you mean `{candidates[match[0]]}{then}`?" if match else None

    def near_or_list(self, word: str, known: Collection[str]) -> str:
        """A near miss, or all that would be right."""
        return self.near(word, known) or _one_of(known)

    def word_for(self, word: str, known: Collection[str]) -> str | None:
        """What to write for a word of the language that is not one of the known ones, None where
        nothing is alike: by what the word means in other languages, then by how it is spelt. Never
        one that is known to mean something else, nor the opposite.
        """
        if meanings_of(word):
            return advice_on(word, known)
        return self.near(word, [name for name in known if is_negative(name) == is_negative(word)])

    def word_or_list(self, word: str, known: Collection[str]) -> str:
        """What to write for it, or all that would be right."""
        return self.word_for(word, known) or _one_of(known)

    def sorted(self) -> list[Problem]:
        """All of them by file, line and column, each once."""
        unique = dict.fromkeys(self.found)
        return sorted(unique, key=lambda problem: (problem.file, problem.line, problem.column))


def _one_of(known: Collection[str]) -> str:
    return "one of " + ", ".join(f"`{name}`" for name in known)
