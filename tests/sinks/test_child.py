"""Looking after a process of sinks."""

from __future__ import annotations

import asyncio
import sys

import pytest

from cdp_stream.errors import InputError, UsageError
from cdp_stream.sinks.child import ChildMetrics, SinksChild

SERVING = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'# TYPE cdp_output_sent_total counter\\ncdp_output_sent_total{output="x"} 3.0\\n'
        if self.path == "/outputs":
            body = b'{"outputs": [{"id": "x"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def child(program: str) -> tuple[SinksChild, ChildMetrics]:
    metrics = ChildMetrics()
    return SinksChild([sys.executable, "-c", program], metrics), metrics


def samples(metrics: ChildMetrics) -> dict[str, float]:
    return {sample.name: sample.value for metric in metrics.collect() for sample in metric.samples}


@pytest.mark.parametrize(("code", "kind"), [(1, InputError), (2, UsageError)])
async def test_a_mistake_of_the_user_is_passed_on(code: int, kind: type[Exception]) -> None:
    program = f"import sys; sys.stderr.write('cdp: NAME is not set; set it\\n'); sys.exit({code})"
    error = await child(program)[0].run()
    assert type(error) is kind
    assert str(error) == "NAME is not set; set it"


async def test_a_child_that_ends_is_started_again_and_its_metrics_are_served() -> None:
    sinks, metrics = child(SERVING)
    running = asyncio.create_task(sinks.run())
    try:
        async with asyncio.timeout(30):
            while metrics.port is None:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
            assert sinks.is_up
            values = await asyncio.to_thread(samples, metrics)
            assert values == {"cdp_sinks_restarts_total": 0, "cdp_output_sent_total": 3.0}
            report = await asyncio.to_thread(sinks.report)
            assert report == {"sinks": {"up": True, "restarts": 0}, "outputs": [{"id": "x"}]}
            await sinks.stop()
            while metrics.port is not None:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
            assert not sinks.is_up
            assert sinks.report() == {"sinks": {"up": False, "restarts": 0}, "outputs": []}
            while not metrics.restarts:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sinks.stop()
    assert samples(metrics)["cdp_sinks_restarts_total"] == 1


async def test_what_it_is_started_with_again() -> None:
    program = "import sys; sys.stderr.write('cdp: ' + sys.argv[-1]); sys.exit(len(sys.argv) - 1)"
    metrics = ChildMetrics()
    sinks = SinksChild([sys.executable, "-c", program, "one"], metrics, again=["another"])
    assert str(await sinks.run()) == "one"
    metrics.restarts = 1
    assert str(await sinks.run()) == "another"


LONG = """
import sys, time
print("1", flush=True)
sys.stderr.write("cdp: a mistake\\n" + "\u00e4" * 300_000 + "\\n")
sys.stdout.write("o" * 300_000 + "\\n")
sys.stdout.flush()
sys.stderr.write("heard\\n")
sys.stderr.flush()
time.sleep(60)
"""


async def test_a_very_long_line_is_passed_on_and_keeps_nobody_from_ending(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sinks, metrics = child(LONG)
    running = asyncio.create_task(sinks.run())
    said = ""
    try:
        async with asyncio.timeout(20):
            while "heard\n" not in said:
                await asyncio.sleep(0.02)
                said += capsys.readouterr().err
            assert metrics.port == 1
            await sinks.stop()
            while metrics.port is not None:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sinks.stop()
    assert said.count("\u00e4") == 300_000
    assert said.count("o") == 300_000
    assert "cdp: a mistake" not in said, "it is told by whoever ends, and nobody has"


async def test_the_words_that_it_ends_with_may_be_long() -> None:
    program = "import sys; sys.stderr.write('cdp: ' + 'name ' * 30_000); sys.exit(2)"
    error = await child(program)[0].run()
    assert str(error).startswith("name name")
    assert len(str(error)) > 60_000
