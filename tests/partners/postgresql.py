"""A real PostgreSQL of our own, on loopback: Debian's package, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["PASSWORD", "Postgresql", "programs", "server", "started"]

PASSWORD = "s3cret-of-the-tests"


def programs() -> Path | None:
    """Where initdb and pg_ctl are; None where there is no PostgreSQL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    if found is not None:
        folders.append(Path(found).parent)
    return next((one for one in folders if (one / "initdb").exists()), None)


class Postgresql:
    """A server that runs; superuser `cdp` with `PASSWORD`, database `postgres`.

    Raises:
        RuntimeError: it cannot be started; with what it said.
    """

    def __init__(self) -> None:
        found = programs()
        if found is None:
            raise RuntimeError("there is no PostgreSQL (Debian's package postgresql)")
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="cdp-postgresql-"))
        # The server refuses root.
        self._user = pwd.getpwnam("postgres").pw_name if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self.port = _free_port()
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._data = self._folder / "data"
        self._run(
            "initdb", "-D", self._data, "-U", "cdp", "-A", "scram-sha-256", "--pwfile", secret,
            "-E", "UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
        self.start()

    def url(self, user: str = "cdp", password: str = PASSWORD, database: str = "postgres") -> str:
        """Where it is, and who asks."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def remove(self) -> None:
        """Stop it, and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: object) -> None:
        # Its output goes to a file: a server that was started would hold a pipe open.
        with (self._folder / f"{program}.out").open("w+") as said:
            done = subprocess.run(
                [self._programs / program, *map(str, arguments)],
                stdout=said,
                stderr=said,
                user=self._user,
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                check=False,
            )
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read()}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


started: list[Postgresql] = []


@cache
def server() -> Postgresql:
    """The one that all tests of a run share; it is started when it is first asked for."""
    made = Postgresql()
    started.append(made)
    return made
