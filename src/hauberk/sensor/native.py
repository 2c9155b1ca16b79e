"""The native reader (bpf/reader.c), loaded when it was built."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from hauberk.errors import Unsupported
from hauberk.sensor import records

FOLDER = Path(__file__).with_name("_native")
_WHY = 1024


class NativeReader:
    """One loaded eBPF object whose programs run. Use `open`; `close` detaches everything."""

    def __init__(self, module: Any, handle: Any) -> None:
        self._ffi: Any = module.ffi
        self._lib: Any = module.lib
        self._handle = handle
        self._more = self._ffi.new("int *")
        self._lost = self._ffi.new("uint64_t[]", self._lib.hb_kinds())
        self._buffer: Any = None

    @classmethod
    def open(cls, name: str, *, ring_bytes: int = 0, wake_bytes: int = 0) -> NativeReader:
        """Load `_native/NAME.bpf.o` and attach all of its programs.

        Raises:
            Unsupported: no native part, or this kernel refuses; the message says why.
        """
        module = load()
        path = FOLDER / f"{name}.bpf.o"
        if not path.exists():
            raise Unsupported(f"{path.name} was not built: build with clang installed")
        why = module.ffi.new("char[]", _WHY)
        handle = module.lib.hb_open(bytes(path), ring_bytes, wake_bytes, why, _WHY)
        if not handle:
            text = module.ffi.string(why).decode("utf-8", "replace")
            raise Unsupported(f"{name}: {text.partition('libbpf: permission')[0].strip(' ;')}")
        return cls(module, handle)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until woken by the kernel side (True) or the time is over. Raises OSError."""
        return bool(self._check(self._lib.hb_wait(self._handle, max(0, int(timeout_s * 1000)))))

    def drain(self, size: int) -> tuple[bytes, bool]:
        """Up to `size` bytes of whole records, and whether more may wait. Raises OSError."""
        size = max(size, 2 * int(self._lib.hb_max_record()))
        if self._buffer is None or len(self._buffer) < size:
            self._buffer = self._ffi.new("char[]", size)
        got = self._check(self._lib.hb_drain(self._handle, self._buffer, size, self._more))
        return bytes(self._ffi.buffer(self._buffer, got)), bool(self._more[0])

    def lost(self) -> int:
        """Records that did not fit since the start. Raises OSError."""
        self._check(self._lib.hb_lost(self._handle, self._lost))
        return sum(self._lost)

    def programs(self) -> list[str]:
        """Sections of the attached programs."""
        found: list[str] = []
        while (name := self._lib.hb_program(self._handle, len(found))) != self._ffi.NULL:
            found.append(self._ffi.string(name).decode())
        return found

    def costs(self) -> dict[str, tuple[int, int]]:
        """Program -> (runs, nanoseconds) by the kernel's statistics, if they are on."""
        runs, spent = self._ffi.new("uint64_t *"), self._ffi.new("uint64_t *")
        found = {}
        for index, name in enumerate(self.programs()):
            self._check(self._lib.hb_cost(self._handle, index, runs, spent))
            found[name] = (int(runs[0]), int(spent[0]))
        return found

    def close(self) -> None:
        """Detach and free; again is fine."""
        handle, self._handle = self._handle, None
        if handle:
            self._lib.hb_close(handle)

    def _check(self, result: int) -> int:
        if result < 0:
            raise OSError(-result, "the sensor's ring cannot be read")
        return result


def load() -> Any:
    """The cffi module. Raises Unsupported when it was not built or cannot be loaded."""
    try:
        module: Any = importlib.import_module("hauberk.sensor._native._hb")
    except ImportError as error:
        raise Unsupported(
            f"native reader not usable ({error}): build with gcc, libbpf-dev and cffi installed"
        ) from error
    if module.lib.hb_abi_version() != records.ABI_VERSION:
        raise Unsupported("native reader is of another version: build again")
    return module


def enable_stats() -> int:
    """Switch the kernel's BPF statistics on until the returned descriptor is closed.

    Raises:
        OSError: not permitted.
    """
    got = int(load().lib.hb_enable_stats())
    if got < 0:
        raise OSError(-got, "BPF statistics cannot be switched on")
    return got
