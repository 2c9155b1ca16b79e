"""network.listening_port: what waits for peers, in every network namespace, and who owns it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.assets._container_names import ContainerNames
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _proc, _proc_sockets

TABLES = ("tcp", "tcp6", "udp", "udp6", "unix")


class ListeningPort(Asset, frozen=True, kw_only=True):
    """One bound socket. `pid`/`start_ns` are the owner's; `orphan` when no process holds it."""

    KEY = ("protocol", "address", "port", "netns", "pid")
    VOLATILE = frozenset({"sharers"})

    protocol: Annotated[str, column("Protocol", "协议", "tcp, udp, unix")]
    address: Annotated[str, column("Address", "地址", ":: and 0.0.0.0: all; a path for unix")]
    port: Annotated[int, column("Port", "端口", "0 for unix")]
    netns: Annotated[int, column("Network namespace", "网络命名空间", "inode", wide=True)] = 0
    pid: Annotated[int, column("PID", "进程号", "0: no owner found")] = 0
    start_ns: Annotated[int, column("Process start", "进程启动", "ns since boot", wide=True)] = 0
    name: Annotated[str, column("Process", "进程")] = ""
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    uid: Annotated[int, column("UID", "用户 ID", "of the owner, else of the socket")] = -1
    container: Annotated[str, column("Container id", "容器 ID", "64-hex runtime id", wide=True)] = (
        ""
    )
    container_name: Annotated[
        str, column("Container", "容器", "the runtime's name, else the short id")
    ] = ""
    exposed: Annotated[bool, column("Exposed", "对外暴露", "not on loopback or a path")] = False
    orphan: Annotated[bool, column("Orphan", "无归属", "no process holds it")] = False
    sharers: Annotated[int, column("Sharers", "共享进程数", wide=True)] = 0


def is_loopback(address: str) -> bool:
    """Whether only the machine itself (or the namespace) reaches the address."""
    return address.startswith("127.") or address == "::1"


def _waits(sock: _proc_sockets.Socket) -> bool:
    if sock.protocol == "udp":
        # An unconnected datagram socket takes from anybody.
        return sock.state == "close" and sock.local_port > 0
    return sock.state == _proc_sockets.LISTEN


def collect(host: Host, notes: Notes) -> Iterator[ListeningPort]:
    """Rows in the kernel's order. Raises NotLive, HostError when /proc cannot be listed."""
    _proc.require_proc(host)
    found = _proc_sockets.scan(host, notes)
    owners = _proc_sockets.Owners(host, found)
    names = ContainerNames(host)
    seen: set[str] = set()
    for sock in _proc_sockets.sockets(host, notes, found, TABLES):
        if not _waits(sock):
            continue
        owner = owners.of(sock.inode)
        row = ListeningPort(
            protocol=sock.protocol,
            address=sock.local_ip,
            port=sock.local_port,
            netns=sock.netns,
            pid=owner.pid if owner else 0,
            start_ns=owner.start_ns if owner else 0,
            name=owner.name if owner else "",
            exe=owner.exe if owner else "",
            uid=owner.uid if owner else sock.uid,
            container=owner.container if owner else "",
            container_name=names.of(owner.container) if owner else "",
            exposed=sock.protocol != "unix" and not is_loopback(sock.local_ip),
            orphan=owner is None and found.complete,
            sharers=owner.sharers if owner else 0,
        )
        # Several sockets of one process on one address (SO_REUSEPORT) are one port.
        if (key := row.key()) not in seen:
            seen.add(key)
            yield row


COLLECTOR = Collector("network.listening_port", ListeningPort, collect, every_s=300)
