"""runtime.limits: resource limits and telling environment variables of service processes.

Values of variables are never read out: they hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _proc

ENVIRON_LIMIT = 256 * 1024
MAX_NAMES = 64
_INJECT = re.compile(
    r"LD_(PRELOAD|LIBRARY_PATH|AUDIT)|PYTHON(PATH|STARTUP|HOME)|PERL5(LIB|OPT)|RUBY(OPT|LIB)"
    r"|NODE_(OPTIONS|PATH)|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|BASH_ENV"
    r"|ENV|PROMPT_COMMAND|GCONV_PATH|DOTNET_STARTUP_HOOKS|CORECLR_ENABLE_PROFILING"
    r"|PHP_INI_SCAN_DIR"
)
_PROXY = re.compile(r"(https?|ftp|all|no)_proxy", re.IGNORECASE)
_SECRET = re.compile(
    r"PASSW|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|(?<![A-Z])DSN"
    r"|CONNECTION_?STRING|DATABASE_URL|_AUTH$",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_ROW = re.compile(rb"^(Max [a-z -]+?) {2,}(\S+) +(\S+)", re.MULTILINE)


class ServiceLimits(Asset, frozen=True, kw_only=True):
    """Soft limits (hard one for open files too) of one service process; -1 is unlimited."""

    KEY = ("pid", "start_ns")

    pid: Annotated[int, column("PID", "进程号")]
    start_ns: Annotated[int, column("Start", "启动时间", "ns since boot", wide=True)]
    name: Annotated[str, column("Name", "进程名")] = ""
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    open_files: Annotated[int | None, column("Open files", "打开文件数", "soft; -1: unlimited")] = (
        None
    )
    open_files_hard: Annotated[
        int | None, column("Open files, hard", "打开文件数硬限制", wide=True)
    ] = None
    processes: Annotated[int | None, column("Processes", "进程数", "-1: unlimited")] = None
    core_size: Annotated[int | None, column("Core dump size", "核心转储大小", "bytes")] = None
    locked_memory: Annotated[
        int | None, column("Locked memory", "锁定内存", "bytes", wide=True)
    ] = None
    stack: Annotated[int | None, column("Stack", "栈大小", "bytes", wide=True)] = None
    address_space: Annotated[
        int | None, column("Address space", "地址空间", "bytes", wide=True)
    ] = None
    inject_variables: Annotated[
        list[str], column("Code-loading variables", "可加载代码的环境变量", "names only")
    ] = msgspec.field(default_factory=list)
    secret_variables: Annotated[
        list[str], column("Secret-like variables", "疑似密钥的环境变量", "names only")
    ] = msgspec.field(default_factory=list)
    proxy_variables: Annotated[
        list[str], column("Proxy variables", "代理环境变量", "names only", wide=True)
    ] = msgspec.field(default_factory=list)
    variables: Annotated[int, column("Variables", "环境变量数", wide=True)] = 0


def parse_limits(raw: bytes) -> dict[str, tuple[int, int]]:
    """`Max open files` -> (soft, hard); -1 is unlimited. Malformed lines are left out."""
    found: dict[str, tuple[int, int]] = {}
    for name, soft, hard in _ROW.findall(raw):
        values = [
            -1 if v == b"unlimited" else int(v[:18]) if v.isdigit() else None for v in (soft, hard)
        ]
        if values[0] is not None and values[1] is not None:
            found[name.decode()] = (values[0], values[1])
    return found


def variable_names(raw: bytes) -> list[str]:
    """Names of an environment block; entries that no shell could have set are left out."""
    names = (from_bytes(entry.split(b"=", 1)[0]) for entry in raw.split(b"\0") if b"=" in entry)
    return [name for name in names if _NAME.fullmatch(name)]


def is_service(proc: _proc.Proc) -> bool:
    """Without a terminal, and under a service unit, in a container or a child of PID 1."""
    if proc.tty:
        return False
    return ".service" in proc.cgroup or bool(proc.container) or proc.ppid in (0, 1)


def _row(host: Host, proc: _proc.Proc) -> ServiceLimits:
    limits = parse_limits(host.head(f"/proc/{proc.pid}/limits", 8192))
    names = variable_names(host.head(f"/proc/{proc.pid}/environ", ENVIRON_LIMIT))
    soft = {name: pair[0] for name, pair in limits.items()}
    hard = limits.get("Max open files")
    return ServiceLimits(
        pid=proc.pid,
        start_ns=proc.start_ns,
        name=proc.name,
        exe=proc.exe,
        container=proc.container,
        open_files=soft.get("Max open files"),
        open_files_hard=hard[1] if hard else None,
        processes=soft.get("Max processes"),
        core_size=soft.get("Max core file size"),
        locked_memory=soft.get("Max locked memory"),
        stack=soft.get("Max stack size"),
        address_space=soft.get("Max address space"),
        inject_variables=sorted({n for n in names if _INJECT.fullmatch(n)})[:MAX_NAMES],
        secret_variables=sorted({n for n in names if _SECRET.search(n)})[:MAX_NAMES],
        proxy_variables=sorted({n for n in names if _PROXY.fullmatch(n)})[:MAX_NAMES],
        variables=len(names),
    )


def collect(host: Host, notes: Notes) -> Iterator[ServiceLimits]:
    """One row a service process. Raises NotLive, HostError when /proc cannot be listed."""
    _proc.require_proc(host)
    denied = _proc.Denied("limits and environment")
    for proc in _proc.processes(host, notes):
        if not is_service(proc):
            continue
        try:
            yield _row(host, proc)
        except PathMissing:
            continue
        except PathDenied:
            denied.add(f"/proc/{proc.pid}/environ")
        except HostError as error:
            notes.add(f"/proc/{proc.pid}", error)
    denied.note(notes)


COLLECTOR = Collector("runtime.limits", ServiceLimits, collect, every_s=3600)
