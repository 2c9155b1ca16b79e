"""Builds /proc entries for DictHost."""

from __future__ import annotations

from hauberk.host.memory import DictHost
from hauberk.ports import Collector, Notes

CONTAINER = "c0ffee" * 10 + "abcd"
SOCKET_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"


def stat_line(pid, name=b"x", *, ppid=1, start=100, flags=0x400000, tty=0, ticks=(3, 4)):
    """/proc/PID/stat as the kernel prints it."""
    tail = f" S {ppid} {pid} {pid} {tty} -1 {flags} 0 0 0 0 {ticks[0]} {ticks[1]} 0 0 20 0 5 0 {start} 1000 200 1"
    return f"{pid} (".encode() + name + b")" + tail.encode()


class Procfs:
    """Gathers processes, then gives a DictHost."""

    def __init__(self):
        self.files = {"/proc/": ""}
        self.links = {}

    def add(
        self,
        pid,
        name=b"x",
        *,
        exe="",
        argv=(),
        ppid=1,
        start=100,
        uid=(0, 0),
        cgroup="0::/\n",
        kernel=False,
        tty=0,
        netns=1,
        sockets=(),
        **more,
    ):
        here = f"/proc/{pid}"
        flags = 0x208040 if kernel else 0x400000
        self.files[f"{here}/stat"] = stat_line(
            pid, name, ppid=ppid, start=start, flags=flags, tty=tty
        )
        self.files[f"{here}/status"] = (
            f"Name:\tx\nUid:\t{uid[0]}\t{uid[1]}\t0\t0\nGid:\t5\t6\t5\t5\nVmRSS:\t    12 kB\n"
        )
        self.files[f"{here}/cmdline"] = b"".join(
            (a if isinstance(a, bytes) else a.encode()) + b"\0" for a in argv
        )
        self.files[f"{here}/cgroup"] = cgroup
        self.files[f"{here}/fd/"] = ""
        if exe:
            self.links[f"{here}/exe"] = exe
        if not kernel:
            self.links[f"{here}/fd/0"] = "/dev/null"
            self.links[f"{here}/ns/net"] = f"net:[{netns}]"
        for number, inode in enumerate(sockets, 3):
            self.links[f"{here}/fd/{number}"] = f"socket:[{inode}]"
        for key, value in more.items():
            self.files[f"{here}/{key}"] = value
        return self

    def table(self, pid, name, *lines):
        self.files[f"/proc/{pid}/net/{name}"] = SOCKET_HEAD + "".join(f"{x}\n" for x in lines)
        return self

    def host(self, files=None, *, links=None, **kw):
        return DictHost(
            {**self.files, **(files or {})}, links={**self.links, **(links or {})}, **kw
        )


def run(collector: Collector, host):
    """(rows, problems) of one run; every row has its own key and survives the wire's types."""
    notes = Notes()
    rows = list(collector.collect(host, notes))
    keys = [row.key() for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(type(row) is collector.struct for row in rows)
    return rows, notes.problems


def inet_line(local, remote="00000000:0000", state="0A", uid=0, inode=77):
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid} 0 {inode} 1 0 100 0"
