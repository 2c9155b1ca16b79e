"""The agent as a process: its pid file, its priority, its own size."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import logging
import os
import platform
import threading
import time
from pathlib import Path

from hauberk.errors import Conflict

_log = logging.getLogger(__name__)
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IDLE = 3 << 13
_LOWEST = 19
_M_ARENA_MAX = -8


def boot_id() -> str:
    """This boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def quiet_thread() -> None:
    """Give the calling thread the lowest CPU priority and idle I/O class."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, _LOWEST)
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        _log.info("no idle I/O class on %s", platform.machine())
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 1, thread, _IDLE) != 0:
        _log.warning("idle I/O class refused: %s", os.strerror(ctypes.get_errno()))


def few_arenas() -> None:
    """Let all threads share one malloc arena: the agent's threads never contend for it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or libc.mallopt(_M_ARENA_MAX, 1) != 1:
        _log.info("this libc has no arenas to bound")


def give_back_memory() -> None:
    """Return freed memory to the kernel, after something that needed much of it."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def memory() -> tuple[int, int]:
    """(private, resident) bytes of this process; private is 0 where the kernel does not tell."""
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf(
        "SC_PAGESIZE"
    )
    private = 0
    try:
        text = Path("/proc/self/smaps_rollup").read_text("ascii")
    except OSError as error:
        _log.info("smaps_rollup: %s", error)
        return 0, resident
    for line in text.splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1]) * 1024
    return private, resident


class PidFile:
    """A locked file with the pid: one agent per folder, and no pid that outlived its process."""

    def __init__(self, path: Path) -> None:
        """Take the file.

        Raises:
            Conflict: another agent runs on this folder.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise Conflict(
                f"{path}: another agent runs on this folder; stop it or choose another folder"
            ) from error
        # Always the same length, never cut: it takes no new room on a full disk.
        try:
            os.pwrite(self._descriptor, f"{os.getpid():<15}\n".encode(), 0)
        except OSError as error:
            _log.warning("%s: %s", path, error)

    def release(self) -> None:
        """Blank and unlock it."""
        os.pwrite(self._descriptor, b" " * 15, 0)
        os.close(self._descriptor)


def running(path: Path) -> int | None:
    """The pid of the agent that holds the file; None when none does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def stop(path: Path, signal_number: int, *, timeout_s: float) -> bool:
    """Signal the agent that holds the file and wait until it let go; whether it did."""
    pid = running(path)
    if pid is None:
        return True
    os.kill(pid, signal_number)
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if running(path) is None:
            return True
        time.sleep(0.05)
    return False
