"""docs/operations.md speaks of what there is: paths, refusals, the limits of a worker."""

import ast
import re

from cdp_stream.kafka.faust_adapter import serve
from cdp_stream.observability import health
from tests.docs.console import ROOT

PAGE = (ROOT / "docs/operations.md").read_text()


def section(title):
    (found,) = re.findall(rf"^#+ {title}\n((?:(?!^#).*\n?)*)", PAGE, re.MULTILINE)
    return found


def texts_of(path):
    """Every text in a module, with dots for what is put into it."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_refusal_is_explained():
    told = re.findall(r"^\| `([^`]+)` \|", section("Connection errors"), re.MULTILINE)
    refusals = {
        re.split(r" ?(?:\.\.\.|\(|:|, SASL)", text)[0].strip()
        for text in texts_of(ROOT / "cdp_stream/kafka/clients/connection_errors.py")
        if re.match(r"(has|speaks|does|asks) \w+,? \w+", text)
    }
    assert len(refusals) == len(told) - 1  # nobody answers: not a broker's refusal
    for refusal in refusals:
        assert any(message.startswith(refusal) for message in told), refusal


def test_the_limits_are_those_of_the_worker():
    assert health.STUCK_AFTER_S == 60
    assert "within a minute" in section("Health")
    assert serve.DRAIN_S < 10
    assert "exit code 0 within 10 s" in section("Health")


def test_every_path_is_listed():
    listed = set(re.findall(r"^\| `(/\w+)` \|", section("Health"), re.MULTILINE))
    assert listed == {"/healthz", "/readyz", "/metrics", "/outputs"}
