"""What a user installs, where nothing else is installed: the locks, the checkout, the wheel."""

import ensurepip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "deploy/requirements.lock",
    "deploy/build.lock",
)
# Python 3.11 came with 22.3; pip of that time does not run on later ones, which brought their own.
OLDEST_PIP = "22.3" if sys.version_info < (3, 12) else ensurepip.version()


def pins(lock: str) -> dict[str, str]:
    """The version of each package that a lock names."""
    lines = (CHECKOUT / lock).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lines, re.MULTILINE))


def run(*command: str | Path, cwd: Path) -> str:
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CDP_", "PYTHON", "VIRTUAL_ENV", "COV_"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(folder: Path) -> Path:
    """The Python of a new virtual environment in which nothing but pip is installed."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder / "bin" / "python"


def assert_the_demo_runs(python: Path, cwd: Path) -> None:
    shown = run(python.with_name("cdp"), "demo", "--seconds", "0", cwd=cwd)
    assert "checked: 32,437 membership changes" in shown


def test_the_locks_agree_and_every_package_has_its_hash():
    everything = pins("requirements-dev.lock")
    for lock in LOCKS:
        text = (CHECKOUT / lock).read_text("utf-8")
        packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        assert len(packages) == len(pins(lock)) > 5
        assert [package for package in packages if "--hash=sha256:" not in package] == []
        assert pins(lock).items() <= everything.items()


@pytest.mark.slow
@pytest.mark.embedded
def test_the_locks_install_as_they_are_with_the_oldest_pip_and_lack_nothing(tmp_path):
    python = environment(tmp_path / "venv")
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", f"pip=={OLDEST_PIP}", cwd=tmp_path)
    locked = (*pip, "install", "--no-compile", "--no-deps", "--require-hashes", "-r")
    run(*locked, CHECKOUT / "requirements.lock", cwd=tmp_path)
    run(*pip, "install", "--no-deps", "--no-build-isolation", CHECKOUT, cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    assert_the_demo_runs(python, tmp_path)

    run(*locked, CHECKOUT / "requirements-dev.lock", cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.embedded
def test_the_wheel_asks_for_all_that_the_demo_needs(tmp_path):
    """The wheel is built from the source archive, so that one is whole too."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=CHECKOUT)
    (archive,) = tmp_path.glob("*.tar.gz")
    build = ("wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path)
    run(sys.executable, "-m", "pip", *build, archive, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")

    constraints = tmp_path / "constraints.txt"
    pinned = pins("requirements-dev.lock").items()
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pinned))
    python = environment(tmp_path / "venv")
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--no-compile", "-c", constraints, wheel, cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    assert_the_demo_runs(python, tmp_path)
