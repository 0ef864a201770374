"""From the bytes of a file to its tree of nodes, or to the reason why it cannot be read.

PyYAML only cuts the text into events; meaning, limits and places are ours. Nothing here recurses
and every dimension of a document has a limit, so hostile YAML costs bounded time and memory.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import yaml
from yaml.reader import Reader

from cdp_stream.definitions.source.nodes import Entry, Mapping, Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_scalars import (
    MAX_DIGITS,
    PREFIX,
    SCALAR_TAGS,
    NumberTooLongError,
    plain_value,
    tagged_value,
)

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_NODES: Final = 250_000
MAX_DEPTH: Final = 200

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_SEQUENCE_TAGS = (None, "!", PREFIX + "seq")
_MAPPING_TAGS = (None, "!", PREFIX + "map")


class _RefusedError(Exception):
    """The document cannot be read any further; the problem has been noted."""


def parse(content: bytes, file: str, problems: Problems) -> Mapping | None:
    """The top mapping of a document; None, with a problem, when it cannot be read."""
    start = Mark(file, 1, 1)
    if len(content) > MAX_BYTES:
        problems.error(
            "file-too-large",
            start,
            "",
            f"the file has more than {MAX_BYTES:,} bytes",
            "split it into several files",
        )
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        at = _mark_at(before, len(before), file)
        problems.error(
            "not-utf-8",
            at,
            "",
            "the file is not UTF-8 text",
            "save it as UTF-8",
        )
        return None
    root = _parse_text(text, file, problems)
    if root is None or isinstance(root, Mapping):
        return root
    problems.wrong_type(root, "", "a mapping with `version`, `account`, `workspaces`, ...")
    return None


def _parse_text(text: str, file: str, problems: Problems) -> Node | None:
    try:
        return _Builder(text, file, problems).document()
    except _RefusedError:
        return None
    except yaml.YAMLError as error:
        joined = _SURROGATES.sub(_joined_surrogates, text)
        if joined != text and "Unicode character escape" in str(error):
            return _parse_text(joined, file, problems)
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = Mark(file, 1, 1) if mark is None else Mark(file, mark.line + 1, mark.column + 1)
        unprintable = Reader.NON_PRINTABLE.search(text)
        if mark is None and unprintable is not None:
            at = _mark_at(text, unprintable.start(), file)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        context = getattr(error, "context", None)
        words = f"{context}, {reason}" if context else str(reason)
        problems.error(
            "bad-yaml", at, "", f"this is not YAML: {shown(words, 200)}", _yaml_advice(words)
        )
        return None


def _mark_at(text: str, position: int, file: str) -> Mark:
    line_start = text.rfind("\n", 0, position) + 1
    return Mark(file, text.count("\n", 0, position) + 1, position - line_start + 1)


def _joined_surrogates(match: re.Match[str]) -> str:
    """One escape for the pair that JSON has for a character beyond U+FFFF; YAML has none."""
    pair = bytes.fromhex(match[1] + match[2]).decode("utf-16-be")
    return f"\\U{ord(pair):08X}"


def _yaml_advice(reason: str) -> str | None:
    if "mapping values are not allowed" in reason:
        return "put text that holds `: ` in quotes"
    if "cannot start any token" in reason:
        return "indent with spaces, and put text that begins with @, ` or a tab in quotes"
    if "simple key" in reason:
        return "a key is followed by `: `"
    return None


class _Builder:
    """Builds the tree from the parser's events, with a stack of its own."""

    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self._parser = _PARSER(text)
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._stack: list[tuple[Sequence | Mapping, str | None]] = []
        self._keys: list[Scalar | None] = []

    def document(self) -> Node | None:
        """The only document of the text; None for an empty one, with the problem noted."""
        root: Node | None = None
        documents = 0
        while self._parser.check_event():
            event = self._parser.get_event()
            kind = type(event)
            if kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._refuse(
                        "several-documents",
                        event,
                        "a second document begins here",
                        "move it to a separate file",
                    )
            node = self._node(event)
            if node is not None and not self._stack:
                root = node
        if root is None or (isinstance(root, Scalar) and root.value is None):
            at = Mark(self._file, 1, 1)
            self._problems.error(
                "empty-file", at, "", "the file defines nothing", "begin with `version: 1`"
            )
            return None
        return root

    def _node(self, event: Any) -> Node | None:
        """The node that an event completes, placed in its parent; None while it is still open."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return self._place(self._scalar(event), event.anchor)
        if kind is yaml.AliasEvent:
            return self._place(self._aliased(event), None)
        if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, kind is yaml.MappingStartEvent)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node, anchor = self._stack.pop()
            self._keys.pop()
            return self._place(node, anchor)
        return None

    def _open(self, event: Any, is_mapping: bool) -> None:
        if event.tag not in (_MAPPING_TAGS if is_mapping else _SEQUENCE_TAGS):
            self._refuse_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            self._refuse_depth(event)
        if self._stack and isinstance(self._stack[-1][0], Mapping) and self._keys[-1] is None:
            self._refuse("wrong-type", event, "a key must be text, not a list or a mapping", None)
        mark = self._mark(event)
        node: Sequence | Mapping = Mapping(mark) if is_mapping else Sequence(mark)
        self._stack.append((node, event.anchor))
        self._keys.append(None)

    def _scalar(self, event: Any) -> Scalar:
        raw: str = event.value
        mark = self._mark(event)
        try:
            if event.tag in SCALAR_TAGS:
                return Scalar(mark, tagged_value(event.tag, raw), raw)
            if event.tag not in (None, "!"):
                self._refuse_tag(event)
            plain = event.tag is None and event.implicit[0] and not event.style
            return Scalar(mark, plain_value(raw) if plain else raw, raw)
        except NumberTooLongError:
            message = f"a number has more than {MAX_DIGITS} characters"
            self._problems.error(
                "number-too-long", mark, "", message, "put it in quotes if it is text"
            )
            return Scalar(mark, 0, raw)
        except ValueError as error:
            self._problems.error(
                "bad-yaml", mark, "", f"the tag does not match: {shown(str(error))}", "leave it out"
            )
            return Scalar(mark, raw, raw)

    def _aliased(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            name = shown(event.anchor)
            self._refuse(
                "bad-yaml",
                event,
                f"the alias `*{name}` names no node before it",
                f"write `&{name}` at that node",
            )
        if len(self._stack) + node.height > MAX_DEPTH:
            self._refuse_depth(event)
        return node

    def _place(self, node: Node, anchor: str | None) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse_node(
                node, "too-many-nodes", f"the document has more than {MAX_NODES:,} values"
            )
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            return node
        parent = self._stack[-1][0]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif self._keys[-1] is None:
            self._keys[-1] = self._key(node)
            return node
        else:
            self._add_entry(parent, self._keys[-1], node)
            self._keys[-1] = None
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MAX_NODES:
            self._refuse_node(
                node,
                "alias-limit",
                f"with its aliases written out the document has more than {MAX_NODES:,} values",
            )
        return node

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        self._problems.error(
            "wrong-type", node.mark, "", "a key must be text, not a list or a mapping"
        )
        raise _RefusedError

    def _add_entry(self, mapping: Mapping, key: Scalar, value: Node) -> None:
        name = key.value if isinstance(key.value, str) else key.raw
        earlier = mapping.entries.get(name)
        if earlier is None:
            mapping.entries[name] = Entry(key, value)
            return
        self._problems.error(
            "duplicate-key",
            key.mark,
            self._path(),
            f"the key `{shown(name)}` was already given at line {earlier.key.mark.line}",
            "keep one of the two",
        )

    def _path(self) -> str:
        """The path of the innermost open key."""
        path = ""
        for (parent, _), key in zip(self._stack, self._keys, strict=True):
            if isinstance(parent, Sequence):
                path += f"[{len(parent.items)}]"
            elif key is not None:
                path += f".{shown(key.raw)}"
        return path.removeprefix(".")

    def _mark(self, event: Any) -> Mark:
        return Mark(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse_tag(self, event: Any) -> NoReturn:
        self._refuse(
            "tag-not-allowed", event, f"the tag `{shown(event.tag)}` is not allowed", "leave it out"
        )

    def _refuse_depth(self, event: Any) -> NoReturn:
        self._refuse(
            "too-deep",
            event,
            f"nested more than {MAX_DEPTH} levels deep",
            "give a part its own audience",
        )

    def _refuse(self, code: str, event: Any, message: str, suggestion: str | None) -> NoReturn:
        self._problems.error(code, self._mark(event), "", message, suggestion)
        raise _RefusedError

    def _refuse_node(self, node: Node, code: str, message: str) -> NoReturn:
        self._problems.error(code, node.mark, "", message, "split the file, or use fewer aliases")
        raise _RefusedError
