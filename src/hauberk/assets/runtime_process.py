"""runtime.process: every process and kernel thread of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from hauberk.assets._container_names import ContainerNames
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _proc


class Process(Asset, frozen=True, kw_only=True):
    """One process. Texts may hold escaped bytes (schema.text); `exe` is its own view's path."""

    KEY = ("pid", "start_ns")
    VOLATILE = frozenset({"state", "threads", "rss", "cpu_s", "argv"})

    pid: Annotated[int, column("PID", "进程号")]
    start_ns: Annotated[int, column("Start", "启动时间", "ns since boot", wide=True)]
    ppid: Annotated[int, column("Parent PID", "父进程号")] = 0
    name: Annotated[str, column("Name", "进程名", "task comm")] = ""
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    exe_deleted: Annotated[bool, column("Deleted", "文件已删除", "gone or replaced on disk")] = (
        False
    )
    argv: Annotated[list[str], column("Command line", "命令行")] = msgspec.field(
        default_factory=list
    )
    argv_truncated: Annotated[bool, column("Truncated", "已截断", wide=True)] = False
    uid: Annotated[int, column("UID", "用户 ID", "effective; -1: unknown")] = -1
    real_uid: Annotated[int, column("Real UID", "真实用户 ID", wide=True)] = -1
    gid: Annotated[int, column("GID", "组 ID", "effective", wide=True)] = -1
    real_gid: Annotated[int, column("Real GID", "真实组 ID", wide=True)] = -1
    user: Annotated[str, column("User", "用户", "the machine's own name for the UID")] = ""
    container: Annotated[str, column("Container id", "容器 ID", "64-hex runtime id", wide=True)] = (
        ""
    )
    container_name: Annotated[
        str, column("Container", "容器", "the runtime's name, else the short id")
    ] = ""
    cgroup: Annotated[str, column("Cgroup", "控制组", wide=True)] = ""
    kernel: Annotated[bool, column("Kernel thread", "内核线程", wide=True)] = False
    state: Annotated[str, column("State", "状态", "R S D Z T I", wide=True)] = ""
    threads: Annotated[int, column("Threads", "线程数", wide=True)] = 0
    rss: Annotated[int, column("Resident", "常驻内存", "bytes")] = 0
    cpu_s: Annotated[float, column("CPU time", "CPU 时间", "seconds since start")] = 0.0


def _row(
    host: Host,
    stat: _proc.Stat,
    users: dict[int, str],
    names: ContainerNames,
    denied: _proc.Denied,
    room: _proc.ArgvRoom,
) -> Process:
    pid = stat.pid
    proc = _proc.read_proc(host, pid, stat, room)
    if proc.exe_denied:
        denied.add(f"/proc/{pid}/exe")
    if stat.kernel:
        # The kernel's own threads run as root; nothing else of them is worth a read.
        status = _proc.Status(0, 0, 0, 0)
    else:
        status = _proc.parse_status(host.head(f"/proc/{pid}/status", _proc.STATUS_LIMIT))
    return Process(
        pid=pid,
        start_ns=stat.start_ns,
        ppid=stat.ppid,
        name=stat.name,
        exe=proc.exe,
        exe_deleted=proc.exe_deleted,
        argv=proc.argv,
        argv_truncated=proc.argv_truncated,
        uid=status.uid,
        real_uid=status.real_uid,
        gid=status.gid,
        real_gid=status.real_gid,
        user="" if proc.container else users.get(status.uid, ""),
        container=proc.container,
        container_name=names.of(proc.container),
        cgroup=proc.cgroup,
        kernel=stat.kernel,
        state=stat.state,
        threads=stat.threads,
        rss=status.rss,
        cpu_s=stat.cpu_ticks * _proc.TICK_NS / 1e9,
    )


def collect(host: Host, notes: Notes) -> Iterator[Process]:
    """Rows by rising pid. Raises NotLive, HostError when /proc cannot be listed."""
    _proc.require_proc(host)
    users = _proc.user_names(host, notes)
    names = ContainerNames(host)
    denied = _proc.Denied("executable")
    room = _proc.ArgvRoom()
    for stat in _proc.stats(host, notes):
        try:
            yield _row(host, stat, users, names, denied, room)
        except PathMissing:
            continue
        except HostError as error:
            notes.add(f"/proc/{stat.pid}", error)
    denied.note(notes)


COLLECTOR = Collector("runtime.process", Process, collect, every_s=300)
