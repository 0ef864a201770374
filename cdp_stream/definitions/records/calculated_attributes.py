"""Reads calculated attributes: values worked out of a profile's events.

Source: docs/definitions.md, calculated attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cdp_stream.core.model.criterion import CalculatedAttribute, Calculation, Condition, Source
from cdp_stream.core.model.definition import Workspace
from cdp_stream.core.model.subject import SUBJECTS, Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions.account.ids import Ids
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import CalculatedAttributeRecord
from cdp_stream.definitions.account.subjects import read_subject, subject_text
from cdp_stream.definitions.account.workspaces import Workspaces
from cdp_stream.definitions.criteria.conditions import SOURCES, read_key, read_where
from cdp_stream.definitions.criteria.criterion_keys import WHERE
from cdp_stream.definitions.criteria.scope import CalculatedAttributes, Place, or_list
from cdp_stream.definitions.criteria.windows import ALL_TIME, read_day, read_duration
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, shown
from cdp_stream.definitions.source.problems import Problems

NEED_NO_VALUE: Final = frozenset(
    {
        Calculation.COUNT,
        Calculation.FIRST_OCCURRENCE_TIMESTAMP,
        Calculation.LAST_OCCURRENCE_TIMESTAMP,
    }
)
"""Calculations on the events themselves."""


@dataclass(frozen=True, slots=True)
class _Of:
    """Which events are calculated with, and where each has its value."""

    subject: Subject
    value: tuple[Source, str] | None
    where: tuple[Condition, ...]


class CalculatedAttributeReader:
    """Reads calculated attributes over all files; their ids are a namespace of their own."""

    def __init__(self, workspaces: Workspaces, problems: Problems) -> None:
        self.attributes = CalculatedAttributes()
        self._workspaces = workspaces
        self._problems = problems
        self._ids = Ids("the calculated attribute", problems)

    def read(self, node: Node, path: str) -> None:
        """Read one; what is wrong with it is noted."""
        problems, before = self._problems, len(self._problems.found)
        read = read_record(CalculatedAttributeRecord, node, path, problems)
        if read is None or "id" in read.wrong:
            self.attributes.complete = False
        if read is None:
            return
        workspace = self._workspace(read)
        of = None if "of" in read.wrong else self._of(read, workspace)
        window = self._window(read)
        if "id" in read.wrong:
            return
        name = read.record.id
        is_new = self._ids.claim(name, read.mark("id"), f"{path}.id")
        fine = len(problems.found) == before
        attribute = None
        if fine and of is not None and workspace is not None and window is not None:
            attribute = CalculatedAttribute(
                name,
                workspace.id,
                Calculation(read.record.calculation),
                of.subject,
                of.value,
                of.where,
                window.cut_to(workspace.lookback_ms),
            )
        if is_new:
            self.attributes.by_id[name] = attribute

    def _workspace(self, read: Read[CalculatedAttributeRecord]) -> Workspace | None:
        known, name = self._workspaces, read.record.workspace
        path = f"{read.path}.workspace"
        if "workspace" in read.wrong:
            return None
        if name is not None:
            if name not in known.by_id and known.complete:
                message = f"there is no workspace `{shown(name)}`"
                advice = self._problems.near_or_list(name, known.by_id)
                mark = read.node.entries["workspace"].value.mark
                self._problems.error("unknown-reference", mark, path, message, advice)
            return known.by_id.get(name)
        if len(known.by_id) > 1:
            message = "the key `workspace` is missing: the account has several"
            advice = f"name the one whose events it reads, {or_list(known.by_id)}"
            self._problems.error("missing-key", read.node.mark, path, message, advice)
            return None
        return next(iter(known.by_id.values()), None)

    def _window(self, read: Read[CalculatedAttributeRecord]) -> Window | None:
        """The window of `within` or `since`, not cut yet; of neither all times."""
        within, since = read.node.get("within"), read.node.get("since")
        problems, path = self._problems, read.path
        if within is not None and since is not None:
            message = "`within` and `since` are two windows"
            at = f"{path}.since"
            problems.error("bad-window", read.mark("since"), at, message, "keep one of the two")
        length = day = None
        if within is not None:
            length = read_duration(within, f"{path}.within", problems)
        if since is not None:
            day = read_day(since, f"{path}.since", problems)
        if within is None and since is None:
            return ALL_TIME
        if length is None and day is None:
            return None
        return Window(start=day, oldest=length, newest=0)

    def _of(self, read: Read[CalculatedAttributeRecord], workspace: Workspace | None) -> _Of | None:
        node, path, problems = read.node.get("of"), f"{read.path}.of", self._problems
        if not isinstance(node, Mapping):
            assert node is not None
            advice = "as `{commerce: purchase, field: total_amount}`"
            problems.wrong_type(node, path, "a mapping", advice)
            return None
        kinds = [key for key in node.entries if key in SUBJECTS]
        sources = [key for key in node.entries if key in SOURCES]
        unknown = problems.unknown_keys(node, path, (*SUBJECTS, *SOURCES, WHERE))
        for several, what in ((kinds, "one subject"), (sources, "one value")):
            if len(several) > 1:
                message = f"{what}, not {' and '.join(f'`{key}`' for key in several)}"
                mark, at = node.mark_of(several[1]), f"{path}.{several[1]}"
                problems.error("many-subjects", mark, at, message, "keep one of them")
        if not kinds and not unknown:
            advice = "add a subject, as `commerce: purchase`"
            problems.error("missing-subject", node.mark, path, "this names no event", advice)
        calculation = read.record.calculation
        has_none = not sources and not unknown and "calculation" not in read.wrong
        if has_none and calculation not in NEED_NO_VALUE:
            message = f"`{calculation}` needs a value of the event"
            advice = "give its place, as `field: total_amount` or `attribute: category`"
            problems.error("missing-key", node.mark, path, message, advice)
        return self._parts(node, path, kinds, sources, workspace)

    def _parts(
        self,
        node: Mapping,
        path: str,
        kinds: list[str],
        sources: list[str],
        workspace: Workspace | None,
    ) -> _Of | None:
        problems = self._problems
        subjects = [
            read_subject(kind, node.entries[kind].value, f"{path}.{kind}", problems)
            for kind in kinds
        ]
        values = [
            (Source(key), read_key(Source(key), node.entries[key].value, f"{path}.{key}", problems))
            for key in sources
        ]
        where = node.get(WHERE)
        conditions = () if where is None else read_where(where, f"{path}.{WHERE}", problems)
        if len(subjects) != 1 or subjects[0] is None:
            return None
        if workspace is not None and workspace.id not in self._workspaces.uncertain:
            text = subject_text(kinds[0], node.entries[kinds[0]].value)
            at = f"{path}.{kinds[0]}"
            self._check_read(subjects[0], text, node.mark_of(kinds[0]), at, workspace)
        value = None
        if values and values[0][1] is not None:
            value = (values[0][0], values[0][1])
        return _Of(subjects[0], value, conditions)

    def _check_read(
        self, subject: Subject, text: str, mark: Mark, path: str, workspace: Workspace
    ) -> None:
        """Note a subject that is `personalize` in no input of the workspace."""
        if not Place(workspace, None, workspace.lookback_ms).reads(subject):
            message = f"`{shown(text)}` is `personalize` in no input of `{workspace.id}`"
            advice = "it would never count; change its tier"
            self._problems.error("unread-event", mark, path, message, advice)
