"""Observed behaviour, one Struct per OCSF class, flat so that it travels in columns.

Times: `mono_ns` is nanoseconds since boot and orders events within a boot; `time_ns` is
the agent's wall clock. A process is (workload, boot, pid, start_ns). Text may hold escaped
bytes (schema.text). The envelope adds agent, boot and sequence; the server adds tenant,
workload and the received time.

**Join with inventory.** The kernel tells hooks a start to the nanosecond, and /proc the same start
in ticks of 10 ms, rounded down. So an event belongs to the `runtime.process`, `network.connection`
or `network.listening_port` row of the same boot and pid whose `start_ns` is
`inventory_start(event.start_ns)`; see `process_key`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from .asset import column

TICK_NS = 10_000_000


def inventory_start(start_ns: int) -> int:
    """The `start_ns` of an inventory row for the exact one of an event (ns since boot)."""
    return start_ns - start_ns % TICK_NS


def process_key(pid: int, start_ns: int) -> str:
    """Key of the `runtime.process` row that an event's (pid, start_ns) belongs to."""
    return f"{pid}\x1f{inventory_start(start_ns)}"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that every event has."""

    TABLE: ClassVar[str] = ""
    CLASS_UID: ClassVar[int] = 0

    activity_id: Annotated[int, column("Activity", "活动", "OCSF activity_id of the class")]
    time_ns: Annotated[int, column("Time", "时间", "agent wall clock, ns since 1970")]
    mono_ns: Annotated[int, column("Monotonic", "单调时间", "ns since boot", wide=True)]
    pid: Annotated[int, column("PID", "进程号")]
    start_ns: Annotated[int, column("Process start", "进程启动", "ns since boot", wide=True)] = 0
    ppid: Annotated[int, column("Parent PID", "父进程号")] = 0
    uid: Annotated[int, column("UID", "用户 ID")] = -1
    name: Annotated[str, column("Name", "进程名", "task comm")] = ""
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    cgroup_id: Annotated[int, column("Cgroup id", "cgroup 标识", wide=True)] = 0
    container: Annotated[str, column("Container", "容器", "runtime name, else id")] = ""
    is_self: Annotated[bool, column("Self", "自身", "caused by Hauberk itself")] = False


LAUNCH, TERMINATE = 1, 2


class ProcessActivity(Event, frozen=True, kw_only=True):
    """OCSF process_activity 1007: 1 launch (exec), 2 terminate."""

    TABLE: ClassVar[str] = "process_activity"
    CLASS_UID: ClassVar[int] = 1007

    argv: Annotated[list[str], column("Command line", "命令行")] = []
    argv_truncated: Annotated[bool, column("Truncated", "已截断", wide=True)] = False
    gid: Annotated[int, column("GID", "组 ID", wide=True)] = -1
    parent_name: Annotated[str, column("Parent", "父进程")] = ""
    exit_code: Annotated[int | None, column("Exit code", "退出码")] = None
    exit_signal: Annotated[int | None, column("Signal", "信号")] = None
    duration_ns: Annotated[int | None, column("Duration", "持续时间", "ns", wide=True)] = None


OPEN, CLOSE, LISTEN = 1, 2, 7


class NetworkActivity(Event, frozen=True, kw_only=True):
    """OCSF network_activity 4001: 1 open (connect or accept), 7 listen.

    `owner` says how the process was found: "hook" (the kernel hook ran in it), "listener"
    (joined to the owner of the listening socket), "poll" (read from /proc), "" (unknown).
    """

    TABLE: ClassVar[str] = "network_activity"
    CLASS_UID: ClassVar[int] = 4001

    protocol: Annotated[str, column("Protocol", "协议")] = "tcp"
    direction: Annotated[str, column("Direction", "方向", "inbound, outbound, listen")] = ""
    src_ip: Annotated[str, column("Source", "源地址")] = ""
    src_port: Annotated[int, column("Source port", "源端口")] = 0
    dst_ip: Annotated[str, column("Destination", "目的地址")] = ""
    dst_port: Annotated[int, column("Destination port", "目的端口")] = 0
    netns: Annotated[int, column("Network namespace", "网络命名空间", wide=True)] = 0
    owner: Annotated[str, column("Owner found by", "归属依据", wide=True)] = ""


class BlindTime(Event, frozen=True, kw_only=True):
    """The sensor lost or shed events: when, how many, why. Never silent.

    `activity_id` 1 lost (ring full), 2 shed (over budget), 3 source down, 4 spool dropped.
    """

    TABLE: ClassVar[str] = "blind_time"
    CLASS_UID: ClassVar[int] = 0

    until_ns: Annotated[int, column("Until", "截止", "agent wall clock, ns")] = 0
    lost: Annotated[int, column("Events lost", "丢失事件数", "-1: unknown")] = 0
    source: Annotated[str, column("Source", "来源")] = ""
    reason: Annotated[str, column("Reason", "原因")] = ""


EVENT_CLASSES: dict[str, type[Event]] = {
    c.TABLE: c for c in (ProcessActivity, NetworkActivity, BlindTime)
}
