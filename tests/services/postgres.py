"""A real PostgreSQL for tests: one server per test session on a unix socket, databases from it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

_USER = "postgres"
_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin")
_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Not for durability, which SQL cannot see, but for two cores: tests stop it by force, and the
    # kernel has what was written.
    "fsync": "off",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def missing() -> str:
    """Why there can be no server here, or ""."""
    if os.geteuid() != 0:
        return "PostgreSQL is started as its own user: needs root"
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return f"no user {_USER}: install PostgreSQL"
    return "" if _binaries() else "no PostgreSQL binaries: install postgresql"


def _binaries() -> Path | None:
    found = sorted(
        path
        for pattern in _FOLDERS
        for path in Path("/").glob(pattern.removeprefix("/"))
        if (path / "initdb").exists()
    )
    return found[-1] if found else None


@dataclass(slots=True)
class Postgres:
    """A running server; `url` names databases in it."""

    folder: Path
    binaries: Path
    port: int = 5432
    options: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it takes connections."""
        options = [f"--{name}={value}" for name, value in (_OPTIONS | self.options).items()]
        self._server = subprocess.Popen(
            [
                "runuser",
                "-u",
                _USER,
                "--",
                str(self.binaries / "postgres"),
                "-D",
                str(self.folder / "data"),
                "-k",
                str(self.folder),
                "-p",
                str(self.port),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > until or self._server.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it: cleanly, ending sessions, or as a crash would."""
        if self._server is None:
            return
        pid = int((self.folder / "data" / "postmaster.pid").read_text("ascii").split()[0])
        os.kill(pid, signal.SIGQUIT if immediate else signal.SIGINT)
        self._server.wait(timeout=30)
        self._server = None

    def restart(self, *, immediate: bool = False, down_s: float = 0.0) -> None:
        """Stop, stay away for a while, start."""
        self.stop(immediate=immediate)
        time.sleep(down_s)
        self.start()

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run SQL as the superuser, outside a transaction."""
        where = f"host={self.folder} port={self.port} dbname={database} user={_USER}"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def database(self, template: str = "template0") -> str:
        """A new database, its name. By default it sorts as people do, not bytewise."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> bool:
        """Remove a database; False when somebody is connected to it."""
        try:
            self.run(f"DROP DATABASE {database}")
        except psycopg.errors.ObjectInUse:
            return False
        return True

    def url(self, database: str) -> str:
        """The URL of a database, as a setting has it."""
        return f"postgresql+psycopg://{_USER}@/{database}?host={self.folder}&port={self.port}"


@contextmanager
def running(options: dict[str, str] | None = None) -> Iterator[Postgres]:
    """A server in a folder of its own, gone afterwards; `options` over those of tests."""
    binaries = _binaries()
    if binaries is None:
        raise RuntimeError(missing())
    # A socket's path may have 107 bytes: not below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="hauberk-pg-"))
    shutil.chown(folder, _USER, _USER)
    try:
        subprocess.run(
            [
                "runuser",
                "-u",
                _USER,
                "--",
                str(binaries / "initdb"),
                "-D",
                str(folder / "data"),
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--locale-provider=icu",
                "--icu-locale=en-US",
                "--locale=C.UTF-8",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        server = Postgres(folder, binaries, options=options or {})
        server.start()
        try:
            yield server
        finally:
            server.stop(immediate=True)
    finally:
        shutil.rmtree(folder)
