"""The installed program around the agent: slots below one folder, service unit, command on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hauberk.agent import slots_manifest
from hauberk.agent.settings import AgentSettings
from hauberk.agent.slots import SlotInfo, Slots, locate
from hauberk.agent.updater_thread import STATE
from hauberk.agent.updater_unpack import sync_files
from hauberk.errors import Conflict, HostError, NotFound

ROOT = Path("/opt/hauberk")
NAME = "hauberk-agent.service"
FOLDER = AgentSettings().folder
_PARTS = ("slots", "current", "confirmed", ".current.new", ".confirmed.new")


def _systemctl(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        ["systemctl", *arguments],  # noqa: S607 wherever this distribution has it
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise HostError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where things of this machine are; another `top` for tests."""

    top: Path = Path("/")
    systemctl: Callable[[Sequence[str]], None] = _systemctl

    @property
    def systemd(self) -> bool:
        """Whether systemd runs this machine."""
        return (self.top / "run/systemd/system").is_dir()

    @property
    def unit(self) -> Path:
        """Our own unit file (a .deb brings another one below /lib)."""
        return self.top / "etc/systemd/system" / NAME

    @property
    def packaged_unit(self) -> bool:
        """Whether a distribution's package brought the unit."""
        return (self.top / "lib/systemd/system" / NAME).is_file()

    @property
    def by_dpkg(self) -> bool:
        """Whether dpkg installed the program."""
        return (self.top / "var/lib/dpkg/info/hauberk-agent.list").is_file()

    @property
    def command(self) -> Path:
        """The command on PATH, where no package brings one."""
        return self.top / "usr/local/bin/hauberk"


def package(prefix: Path | None = None) -> Path | None:
    """The folder of the package that this interpreter runs from; None: not from a package."""
    place = (prefix or Path(sys.prefix)).resolve()
    return place if (place / slots_manifest.NAME).is_file() else None


def install(source: Path, root: Path, settings: AgentSettings) -> str:
    """Put the package at `source` into a slot of `root`; what was done.

    The first one is confirmed at once, and so is one on a machine that is not enrolled. Otherwise
    it is on trial: it must reach the server, or the proven one comes back.

    Raises:
        BadInput: `source` is no package.
        OSError: no room or no permission; the former slots are untouched.
    """
    manifest = slots_manifest.read(source)
    info = SlotInfo(version=manifest.version, sequence=manifest.sequence)
    (root / "slots").mkdir(parents=True, exist_ok=True, mode=0o755)
    try:
        slots = Slots(root, settings.path / STATE)
    except NotFound:
        fresh = root / "slots/.a.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _copy(source, fresh)
        fresh.rename(root / "slots/a")
        slots = Slots(root, settings.path / STATE)
        slots.start()
        return f"{root}/slots/a holds version {info.version}"
    with slots.exclusive(wait=True):
        have = slots.state.slots.get(slots.state.confirmed)
        if have is not None and (have.version, have.sequence) == (info.version, info.sequence):
            slots.start()
            return f"version {info.version} is installed already"
        place = slots.clear_spare()
        fresh = place.with_name(f".{place.name}.new")
        _copy(source, fresh)
        slot = slots.fill_spare(fresh)
        slots.begin(info, wanted="", desired=0)
        if (settings.identity / "current").is_symlink():
            return f"{root}/slots/{slot} holds version {info.version}, on trial at the next start"
        slots.confirm()
        return f"{root}/slots/{slot} holds version {info.version}"


def _copy(source: Path, target: Path) -> None:
    """Hard links where they can be made: the same bytes lie on the disk once.

    Not of files that somebody else could write to: whoever unpacked the package could change what
    runs as root later.
    """

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(old, new, follow_symlinks=False)
            return
        # Judged by what was linked: `old` may name another file by now.
        found = os.lstat(new)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            Path(new).unlink()
            shutil.copy2(old, new, follow_symlinks=False)

    wanted = slots_manifest.paths(slots_manifest.read(source))

    def foreign(folder: str, names: list[str]) -> list[str]:
        """What else lies where the package was unpacked, such as its archive."""
        inside = Path(folder).relative_to(source)
        return [name for name in names if str(inside / name) not in wanted]

    shutil.copytree(source, target, symlinks=True, copy_function=link, ignore=foreign)
    for top, _, names in os.walk(target):
        Path(top).chmod(0o755)
        for name in names:
            path = Path(top, name)
            if not path.is_symlink() and path.stat().st_mode & 0o022:
                path.chmod(path.stat().st_mode & 0o755)
    sync_files(target)


def check(root: Path, machine: Machine, settings: AgentSettings) -> None:
    """Can `install` and `activate` do their work? Asked before a one-time token is used up.

    Raises:
        HostError: no right to.
        Conflict: the distribution's unit runs the agent of another folder.
    """
    place = next(p for p in (root, *root.parents) if p.exists())
    if (machine.systemd and os.geteuid() != 0) or not os.access(place, os.W_OK):
        raise HostError(f"{root}: an installed package is enrolled by root, who starts its service")
    if machine.systemd and machine.packaged_unit and settings.folder != FOLDER:
        raise Conflict(f"{NAME} runs the agent of {FOLDER}, not of {settings.folder}")


def activate(root: Path, machine: Machine, settings: AgentSettings) -> str:
    """Start the service now and at every boot; what to do by hand where no systemd runs.

    Raises:
        HostError: systemd refuses.
        OSError: a file cannot be written.
    """
    if not machine.by_dpkg and machine.command.parent.is_dir() and not machine.command.exists():
        machine.command.unlink(missing_ok=True)
        machine.command.symlink_to(root / "current/bin/hauberk")
    if not machine.systemd:
        named = "" if settings.folder == FOLDER else f"HAUBERK_AGENT_FOLDER={settings.folder} "
        command = f"{root}/confirmed/bin/hauberk-launch --supervise"
        return f"no systemd runs here; start it with: {named}{command}"
    if not machine.packaged_unit:
        text = (root / "confirmed/share" / NAME).read_text("utf-8")
        text = text.replace(str(ROOT), str(root))
        if settings.folder != FOLDER:
            folder = settings.folder.replace("%", "%%")
            text = text.replace(FOLDER, folder)
            text = text.replace(
                "[Service]\n", f'[Service]\nEnvironment="HAUBERK_AGENT_FOLDER={folder}"\n'
            )
        machine.unit.write_text(text, "utf-8")
    machine.systemctl(["daemon-reload"])
    machine.systemctl(["enable", "--now", NAME])
    return f"{NAME} is started and enabled"


def stop_service(machine: Machine) -> None:
    """Stop and disable the unit where there is one. Raises HostError."""
    if machine.systemd and (machine.packaged_unit or machine.unit.is_file()):
        machine.systemctl(["disable", "--now", NAME])


def remove_program(machine: Machine, prefix: Path | None = None) -> list[str]:
    """Remove slots, unit and command; what was removed, or what else removes them."""
    place = locate(prefix or Path(sys.prefix))
    if machine.by_dpkg:
        return ["(the program stays: dpkg -r hauberk-agent removes it)"]
    if place is None:
        return []
    root = place[0]
    removed: list[str] = []
    if machine.unit.is_file():
        machine.unit.unlink()
        removed.append(str(machine.unit))
        if machine.systemd:
            machine.systemctl(["daemon-reload"])
    command = machine.command
    if command.is_symlink() and str(command.readlink()) == str(root / "current/bin/hauberk"):
        command.unlink()
        removed.append(str(command))
    for name in _PARTS:
        path = root / name
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            continue
        removed.append(str(path))
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
    return removed
