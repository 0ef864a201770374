import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_stream.cli.broker import topics_from
from cdp_stream.cli.main import VERBS, main
from cdp_stream.errors import CdpError, InputError, OutsideError, UsageError
from cdp_stream.kafka.embedded import EmbeddedBroker
from cdp_stream.kafka.probe import answers, free_port

DEFINITIONS = str(Path(__file__).parents[2] / "examples/cdnow/definitions.yaml")


def test_without_a_verb_the_verbs_are_listed(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert [verb for verb in VERBS if f"\n  {verb} " not in out] == []


def test_every_verb_has_help_with_an_example(capsys):
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        assert f"Example: cdp {verb}" in capsys.readouterr().out


def test_help_loads_neither_faust_nor_kafka():
    program = (
        "import sys; from cdp_stream.cli.main import main; main(['--help']);"
        "sys.exit(', '.join(sorted({'faust', 'aiokafka'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing"], "cdp: No such command 'nothing'; see `cdp --help`\n"),
        (["broker", "--bad"], "cdp: No such option: --bad; see `cdp broker --help`\n"),
        (
            ["import"],
            "cdp: `cdp import` needs a command: `audience-sdk`; see `cdp import --help`\n",
        ),
        (
            ["outputs"],
            "cdp: `cdp outputs` needs a command: `list`, `pause`, `resume`, `show`; see"
            " `cdp outputs --help`\n",
        ),
        (["broker", "--listen", "x"], "cdp: 'x' is not host:port; write it like 127.0.0.1:9092\n"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(words, line, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "words",
    [
        "check MISSING",
        "test MISSING",
        "plan MISSING",
        "apply --yes MISSING",
        "import audience-sdk MISSING",
        "worker --definitions MISSING",
        "produce --events MISSING",
        "replay --definitions MISSING --events MISSING",
        "replay --definitions DEFINITIONS --events MISSING",
        "members new --at 2026-03-01 --definitions DEFINITIONS --events MISSING",
        "explain new 7 --at 2026-03-01 --definitions DEFINITIONS --events MISSING",
    ],
)
def test_a_file_that_is_not_there_is_named_and_exits_1(words, capsys, tmp_path):
    missing = str(tmp_path / "missing")
    named = words.replace("MISSING", missing).replace("DEFINITIONS", DEFINITIONS)
    assert main(named.split()) == 1
    out, err = capsys.readouterr()
    (problem,) = [line for line in (out + err).splitlines() if "No such file" in line]
    assert missing in problem


def test_settings_that_do_not_fit_each_other_are_shown_and_then_named(capsys, monkeypatch):
    monkeypatch.setenv("CDP_TLS_CA", "ca.pem")
    monkeypatch.setenv("CDP_BROKER", "kafka:9092")
    assert main(["config"]) == 2
    out, err = capsys.readouterr()
    assert "ca.pem  (environment CDP_TLS_CA)" in out
    assert "kafka:9092" in out
    assert err == "cdp: tls_ca is set, but tls is off; set tls = true, or unset it\n"


@pytest.mark.embedded
def test_a_taken_port_is_one_line_and_exits_3(capsys):
    with EmbeddedBroker() as broker:
        assert main(["broker", "--listen", broker.bootstrap]) == 3
        error = capsys.readouterr().err
    assert error.startswith(f"cdp: the embedded broker cannot listen on {broker.bootstrap}: ")
    assert error.count("\n") == 1


@pytest.mark.embedded
def test_debug_prints_the_traceback_too(capsys):
    with EmbeddedBroker() as broker:
        assert main(["broker", "--listen", broker.bootstrap, "--debug"]) == 3
        assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.embedded
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_broker_runs_until_it_is_told_to_stop(stop):
    """Also where it was started as shells without job control start a job in the background: with
    SIGINT ignored.
    """
    address = f"127.0.0.1:{free_port()}"
    program = "import sys; from cdp_stream.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "broker", "--listen", address, "--topics", "a:2,b:1"]
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(in_background, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"ready on {address}, topics a:2, b:1; stop it with Ctrl-C\n"
        assert answers(address)
        process.send_signal(stop)
        assert process.wait(20) == 0
    assert not answers(address)


def test_topics_come_with_their_partitions():
    assert topics_from(["a:2, b.c:1", "d:16"]) == {"a": 2, "b.c": 1, "d": 16}


@pytest.mark.parametrize("text", ["a", "a:", ":3", "a:0", "a:-1", "a:x", "a:1,", ""])
def test_a_topic_without_a_partition_count_is_refused(text):
    with pytest.raises(UsageError, match="is not NAME:PARTITIONS"):
        topics_from([text])


def test_a_topic_named_twice_is_refused():
    with pytest.raises(UsageError, match="'a' is named twice"):
        topics_from(["a:1", "a:2"])


def test_an_error_is_one_line_that_says_what_to_do_next():
    assert str(CdpError("it broke\nhere", "mend it")) == "it broke here; mend it"
    assert str(CdpError("it broke")) == "it broke"


def test_each_kind_of_error_has_its_exit_code():
    assert [kind.exit_code for kind in (InputError, UsageError, OutsideError)] == [1, 2, 3]
