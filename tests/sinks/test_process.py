"""Which outputs a process runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdp_stream.core.model.connection import Output
from cdp_stream.errors import UsageError
from cdp_stream.settings import Settings
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.supervisor import SinkJob
from topologies.sinks import create_sink

ACCOUNT: Any = SimpleNamespace(outputs=[Output("crm", "log", {}), Output("web", "log", {})])


def wanted(*only: str, at_start: bool, may_lack: bool = False) -> list[str]:
    job = SinkJob(Settings(), create_sink, Secrets({}), only, may_lack=may_lack)
    return [output.id for output in job.wanted(ACCOUNT, at_start=at_start)]


@pytest.mark.parametrize("at_start", [True, False])
def test_those_that_are_named_run_or_all(at_start: bool) -> None:
    assert wanted("web", at_start=at_start) == ["web"]
    assert wanted(at_start=at_start) == ["crm", "web"]


def test_an_undefined_output_is_reported_as_the_worker_starts() -> None:
    with pytest.raises(UsageError, match="there is no output `mail`; defined are: crm, web"):
        wanted("mail", "web", at_start=True)


@pytest.mark.parametrize(("at_start", "may_lack"), [(True, True), (False, True), (False, False)])
def test_one_that_was_removed_since_ends_nothing(
    at_start: bool, may_lack: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert wanted("mail", "web", at_start=at_start, may_lack=may_lack) == ["web"]
    assert wanted("mail", at_start=at_start, may_lack=may_lack) == []
    facts: list[Any] = [record for record in caplog.records if record.msg == "outputs_not_defined"]
    assert [fact.facts["outputs"] for fact in facts] == [["mail"], ["mail"]]
