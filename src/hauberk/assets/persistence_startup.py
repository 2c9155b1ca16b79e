"""persistence.startup: what runs by itself at boot, at log-in or when a device appears."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Annotated

from hauberk.ports import Collector, FileStat, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _config, _config_systemd

MAX_ENTRIES = 20_000
# kind -> files and globs whose whole content is the entry.
_FILES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("rc_local", ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/rcS",
                  "/etc/local.d/*.start")),
    ("inittab", ("/etc/inittab",)),
    ("profile", ("/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/bashrc",
                 "/etc/zsh/*", "/etc/zshrc", "/etc/zshenv", "/etc/environment",
                 "/etc/fish/config.fish", "/etc/fish/conf.d/*.fish", "/etc/csh.cshrc",
                 "/etc/bash.bash_logout", "/etc/skel/.bashrc", "/etc/skel/.profile")),
    ("motd", ("/etc/update-motd.d/*", "/etc/motd")),
    ("x_session", ("/etc/X11/Xsession.d/*", "/etc/X11/xinit/xinitrc.d/*")),
    ("generator", ("/etc/systemd/system-generators/*", "/usr/local/lib/systemd/system-generators/*",
                   "/run/systemd/system-generators/*")),
    ("network_hook", ("/etc/network/if-*.d/*", "/etc/NetworkManager/dispatcher.d/*",
                      "/etc/networkd-dispatcher/*/*")),
    ("dhcp_hook", ("/etc/dhcp/dhclient-*-hooks.d/*",)),
    ("ssh_rc", ("/etc/ssh/sshrc",)),
    ("initramfs", ("/etc/initramfs-tools/hooks/*", "/etc/initramfs-tools/scripts/*/*")),
    ("apt_hook", ("/etc/apt/apt.conf.d/*",)),
)  # fmt: skip
_SHELL_RC = (
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".bash_aliases",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".cshrc", ".tcshrc", ".login", ".xinitrc",
    ".xprofile", ".xsession", ".xsessionrc", ".ssh/rc", ".config/fish/config.fish",
)  # fmt: skip
_UDEV = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d",
         "/usr/lib/udev/rules.d")  # fmt: skip
_RUN = re.compile(r"\b(RUN(?:\{program\})?|PROGRAM|IMPORT\{program\})\s*[+:]?==?\s*\"([^\"]*)\"")
# Every repetition is bounded: the files are whole, not lines.
_APT_HOOK = re.compile(
    r"((?:Pre|Post)-Invoke[\w-]{0,32})(?:::)?\s{0,32}\{?\s{0,32}\"([^\"]{0,1024})\""
)
_KERNEL_MODULES = (
    "/etc/modules-load.d/*.conf",
    "/usr/lib/modules-load.d/*.conf",
    "/usr/local/lib/modules-load.d/*.conf",
    "/run/modules-load.d/*.conf",
)


class StartupEntry(Asset, frozen=True, kw_only=True):
    """One file, or one line of a file (`command`), that starts something."""

    KEY = ("kind", "path", "command")
    VOLATILE = frozenset({"line"})

    kind: Annotated[
        str,
        column(
            "Kind", "类别", "rc_local, profile, preload, autostart, module, udev, shell_rc, ..."
        ),
    ]
    path: Annotated[str, column("File", "文件")]
    command: Annotated[str, column("Command", "命令", "empty: the whole file runs")] = ""
    name: Annotated[str, column("Name", "名称")] = ""
    user: Annotated[str, column("User", "用户", "whose log-in runs it; empty: any")] = ""
    enabled: Annotated[bool, column("Enabled", "已启用")] = True
    line: Annotated[int, column("Line", "行号", wide=True)] = 0
    mode: Annotated[str, column("Mode", "权限", "octal", wide=True)] = ""
    uid: Annotated[int, column("Owner UID", "属主用户 ID", wide=True)] = -1
    mtime_ns: Annotated[int, column("Modified", "修改时间", "ns since 1970", wide=True)] = 0
    sha256: Annotated[str, column("SHA-256", "SHA-256", "of the file", wide=True)] = ""


class _File:
    """One file that is there: what every entry from it has in common."""

    def __init__(self, path: str, stat: FileStat, raw: bytes) -> None:
        self.path, self.stat, self.raw = path, stat, raw
        self.digest = _config.sha256(raw)

    @property
    def text(self) -> str:
        return from_bytes(self.raw)

    def entry(
        self,
        kind: str,
        *,
        command: str = "",
        name: str = "",
        user: str = "",
        enabled: bool = True,
        line: int = 0,
    ) -> StartupEntry:
        return StartupEntry(
            kind=kind,
            path=self.path,
            command=command,
            name=name or posixpath.basename(self.path),
            user=user,
            enabled=enabled,
            line=line,
            mode=f"{self.stat.mode & 0o7777:04o}",
            uid=self.stat.uid,
            mtime_ns=self.stat.mtime_ns,
            sha256=self.digest,
        )


def _open(host: Host, notes: Notes, path: str) -> _File | None:
    stat = _config.stat(host, path, notes)
    if stat is None or stat.kind != "file":
        return None
    raw = _config.read(host, path, notes)
    return None if raw is None else _File(path, stat, raw)


def _expand(host: Host, notes: Notes, patterns: tuple[str, ...]) -> Iterator[_File]:
    for pattern in patterns:
        for path in _config.glob(host, pattern, notes) if "*" in pattern else [pattern]:
            found = _open(host, notes, path)
            if found is not None and posixpath.basename(path) != "README":
                yield found


def _whole_files(host: Host, notes: Notes) -> Iterator[StartupEntry]:
    for kind, patterns in _FILES:
        for found in _expand(host, notes, patterns):
            if kind == "apt_hook":
                for name, command in _APT_HOOK.findall(found.text):
                    yield found.entry(kind, command=command, name=name)
                continue
            # Only these are executed; the others are read by a shell.
            runs = kind not in ("rc_local", "generator", "network_hook") or found.stat.mode & 0o111
            yield found.entry(kind, enabled=bool(runs))


def _line_files(host: Host, notes: Notes) -> Iterator[StartupEntry]:
    preload = _open(host, notes, "/etc/ld.so.preload")
    if preload is not None:
        for number, line in _config.lines(preload.text):
            for library in re.split(r"[\s:]+", line):
                yield preload.entry("preload", command=library, line=number)
    for found in _expand(host, notes, ("/etc/modules", *_KERNEL_MODULES)):
        for number, line in _config.lines(found.text):
            if not line.startswith(";"):
                yield found.entry("module", command=line, name=line.split()[0], line=number)


def _udev(host: Host, notes: Notes) -> Iterator[StartupEntry]:
    seen: set[str] = set()
    for folder in _UDEV:
        for name in _config.names(host, folder, notes):
            if not name.endswith(".rules") or name in seen:
                continue
            seen.add(name)  # an earlier folder replaces the file as a whole
            found = _open(host, notes, f"{folder}/{name}")
            if found is None:
                continue
            for number, line in _config.lines(found.text):
                for key, command in _RUN.findall(line):
                    yield found.entry("udev", command=command, name=f"{name} {key}", line=number)


def _autostart(host: Host, notes: Notes, path: str, user: str) -> Iterator[StartupEntry]:
    found = _open(host, notes, path)
    if found is None:
        return
    entries = _config_systemd.parse_unit(found.text)
    values = {k: v for s, k, v in entries if s == "Desktop Entry"}
    hidden = values.get("Hidden", "").lower() == "true"
    disabled = values.get("X-GNOME-Autostart-enabled", "").lower() == "false"
    yield found.entry(
        "autostart",
        command=values.get("Exec", ""),
        name=values.get("Name", ""),
        user=user,
        enabled=not (hidden or disabled),
    )


def _users(host: Host, notes: Notes) -> Iterator[StartupEntry]:
    for path in _config.glob(host, "/etc/xdg/autostart/*.desktop", notes):
        yield from _autostart(host, notes, path, "")
    for account in _config.homes(host, notes):
        for name in _SHELL_RC:
            found = _open(host, notes, f"{account.home}/{name}")
            if found is not None:
                yield found.entry("shell_rc", user=account.name)
        for name in _config.names(host, f"{account.home}/.config/autostart", notes):
            path = f"{account.home}/.config/autostart/{name}"
            if name.endswith(".desktop"):
                yield from _autostart(host, notes, path, account.name)


def collect(host: Host, notes: Notes) -> Iterator[StartupEntry]:
    """Entries by kind; the first of equal ones."""
    seen: set[str] = set()
    for source in (_whole_files, _line_files, _udev, _users):
        for row in source(host, notes):
            if len(seen) >= MAX_ENTRIES:
                notes.add(
                    row.path, f"more than {MAX_ENTRIES} entries; the rest is left out", hides=True
                )
                return
            if (key := row.key()) not in seen:
                seen.add(key)
                yield row


COLLECTOR = Collector("persistence.startup", StartupEntry, collect, every_s=3600)
