"""Does this package work on this machine? Asked in a process of its own before it goes on trial.

Imports everything, compares the files with the manifest and opens the state without changing it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

import hauberk
from hauberk.agent import slots, slots_manifest
from hauberk.agent.desired import DesiredState
from hauberk.agent.settings import AgentSettings
from hauberk.errors import BadInput, NotFound
from hauberk.link.client import identity as identities
from hauberk.link.wire import UNDECODABLE

TIMEOUT_S = 120.0
MOST = 20


def run(settings: AgentSettings, prefix: Path | None = None) -> list[str]:
    """What is wrong, one line each; empty when this package can run here.

    Args:
        settings: whose state is looked at; it is not changed.
        prefix: the package's folder; None: this interpreter's.
    """
    found: list[str] = []
    for part in (_imports(), _files(prefix or Path(sys.prefix)), _state(settings)):
        for line in part:
            found.append(line)
            if len(found) == MOST:
                return [*found, "and more"]
    return found


def in_process(folder: Path, settings: AgentSettings) -> list[str]:
    """Run the self-test of the package unpacked in `folder`; what is wrong with it."""
    argv = [str(folder / "bin/hauberk"), "agent", "--selftest"]
    env = {**os.environ, "HAUBERK_AGENT_FOLDER": settings.folder}
    try:
        done = subprocess.run(
            argv,
            input=b"",  # not /dev/null: a bare container may have no /dev
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
            env=env,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return [f"it did not end within {TIMEOUT_S:.0f} s"]
    except OSError as error:
        return [f"it cannot be started: {error}"]
    if done.returncode == 0:
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()[-MOST:]
    return [f"it ended with status {done.returncode}", *(ln[:200] for ln in lines if ln.strip())]


def _imports() -> Iterator[str]:
    failed: list[str] = []
    names = [
        info.name
        for info in pkgutil.walk_packages(hauberk.__path__, "hauberk.", onerror=failed.append)
        if not info.name.endswith("__main__")
    ]
    yield from (f"{name} cannot be imported" for name in failed)
    for name in names:
        if name in failed:
            continue
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 foreign code runs here: whatever it raises is told
            yield f"{name}: {type(error).__name__}: {error}"


def _files(prefix: Path) -> Iterator[str]:
    try:
        manifest = slots_manifest.read(prefix)
    except BadInput as error:
        yield str(error)
        return
    yield from slots_manifest.differences(prefix, manifest)


def _state(settings: AgentSettings) -> Iterator[str]:
    if identities.generation(settings.identity):  # else not enrolled yet: nothing to read
        try:
            identity = identities.load(settings.identity)
            DesiredState(settings.path / "desired", identity.ids)
        except (NotFound, BadInput) as error:
            yield str(error)
    state = settings.path / "slots.json"
    try:
        msgspec.json.decode(state.read_bytes(), type=slots.State)
    except FileNotFoundError:
        return
    except (OSError, *UNDECODABLE) as error:
        yield f"{state}: {error}"
