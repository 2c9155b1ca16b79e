"""network.connection: connected sockets of every network namespace, with their processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.assets._container_names import ContainerNames
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _proc, _proc_sockets

TABLES = ("tcp", "tcp6", "udp", "udp6")
# No process holds these any more; a busy machine has tens of thousands.
_LEFT_OUT = frozenset({"time_wait", "new_syn_recv", "close", "unknown", _proc_sockets.LISTEN})


class Connection(Asset, frozen=True, kw_only=True):
    """One connected TCP or UDP socket; `direction` by whether its local port is listened on."""

    KEY = ("protocol", "local_ip", "local_port", "remote_ip", "remote_port", "netns", "pid")
    VOLATILE = frozenset({"state"})

    protocol: Annotated[str, column("Protocol", "协议", "tcp, udp")]
    local_ip: Annotated[str, column("Local address", "本地地址")]
    local_port: Annotated[int, column("Local port", "本地端口")]
    remote_ip: Annotated[str, column("Remote address", "远端地址")]
    remote_port: Annotated[int, column("Remote port", "远端端口")]
    direction: Annotated[str, column("Direction", "方向", "inbound, outbound")] = ""
    state: Annotated[str, column("State", "状态")] = ""
    netns: Annotated[int, column("Network namespace", "网络命名空间", "inode", wide=True)] = 0
    pid: Annotated[int, column("PID", "进程号", "0: no owner found")] = 0
    start_ns: Annotated[int, column("Process start", "进程启动", "ns since boot", wide=True)] = 0
    name: Annotated[str, column("Process", "进程")] = ""
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    uid: Annotated[int, column("UID", "用户 ID")] = -1
    container: Annotated[str, column("Container id", "容器 ID", "64-hex runtime id", wide=True)] = (
        ""
    )
    container_name: Annotated[
        str, column("Container", "容器", "the runtime's name, else the short id")
    ] = ""


def _connected(sock: _proc_sockets.Socket) -> bool:
    return sock.state not in _LEFT_OUT and sock.remote_port > 0


def collect(host: Host, notes: Notes) -> Iterator[Connection]:
    """Rows in the kernel's order. Raises NotLive, HostError when /proc cannot be listed."""
    _proc.require_proc(host)
    found = _proc_sockets.scan(host, notes)
    owners = _proc_sockets.Owners(host, found)
    names = ContainerNames(host)
    everything = list(_proc_sockets.sockets(host, notes, found, TABLES))
    served = {
        (s.netns, s.protocol, s.local_port)
        for s in everything
        if s.state == _proc_sockets.LISTEN or (s.protocol == "udp" and s.state == "close")
    }
    seen: set[str] = set()
    for sock in everything:
        if not _connected(sock):
            continue
        owner = owners.of(sock.inode)
        inbound = (sock.netns, sock.protocol, sock.local_port) in served
        row = Connection(
            protocol=sock.protocol,
            local_ip=sock.local_ip,
            local_port=sock.local_port,
            remote_ip=sock.remote_ip,
            remote_port=sock.remote_port,
            direction="inbound" if inbound else "outbound",
            state=sock.state,
            netns=sock.netns,
            pid=owner.pid if owner else 0,
            start_ns=owner.start_ns if owner else 0,
            name=owner.name if owner else "",
            exe=owner.exe if owner else "",
            uid=owner.uid if owner else sock.uid,
            container=owner.container if owner else "",
            container_name=names.of(owner.container) if owner else "",
        )
        if (key := row.key()) not in seen:
            seen.add(key)
            yield row


COLLECTOR = Collector("network.connection", Connection, collect, every_s=300)
