"""Which shared libraries an ELF file needs, and where they are on the build machine."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29


class BadElf(Exception):
    """Not a 64-bit little-endian ELF file."""


class Elf:
    """The dynamic part of one file."""

    def __init__(self, path: Path) -> None:
        """Raises BadElf."""
        data = path.read_bytes()
        if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01":
            raise BadElf(f"{path}: not a 64-bit little-endian ELF file")
        self.needed: list[str] = []
        self.rpath: list[str] = []
        self.interpreter = ""
        heads: list[tuple[int, int, int, int, int, int]]
        offset, size, count = struct.unpack_from("<Q14xHH", data, 32)
        heads = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
        loads = [
            (virtual, start, length)
            for kind, _, start, virtual, _, length in heads
            if kind == PT_LOAD
        ]

        def at(address: int) -> int:
            for virtual, start, length in loads:
                if virtual <= address < virtual + length:
                    return address - virtual + start
            raise BadElf(f"{path}: address {address:#x} is in no segment")

        def text(where: int) -> str:
            return data[where : data.index(b"\0", where)].decode()

        entries: list[tuple[int, int]] = []
        for kind, _, start, _, _, length in heads:
            if kind == PT_INTERP:
                self.interpreter = text(start)
            if kind == PT_DYNAMIC:
                pairs = struct.iter_unpack("<qQ", data[start : start + length // 16 * 16])
                entries = [(tag, value) for tag, value in pairs]
        strings = next((at(v) for tag, v in entries if tag == DT_STRTAB), 0)
        for tag, value in entries:
            if tag == DT_NEEDED:
                self.needed.append(text(strings + value))
            elif tag in (DT_RPATH, DT_RUNPATH):
                self.rpath += text(strings + value).split(":")


def is_elf(path: Path) -> bool:
    """Whether it begins like one."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(roots: Iterable[Path], folders: list[Path]) -> dict[str, Path]:
    """Soname -> file, of everything that `roots` need, directly or not.

    Raises:
        FileNotFoundError: a library is nowhere.
    """
    found: dict[str, Path] = {}
    todo = list(roots)
    while todo:
        path = todo.pop()
        elf = Elf(path)
        own = [Path(r.replace("$ORIGIN", str(path.parent))) for r in elf.rpath]
        for name in elf.needed:
            if name in found:
                continue
            place = next((f / name for f in [*own, *folders] if (f / name).exists()), None)
            if place is None:
                raise FileNotFoundError(f"{path} needs {name}, which is in none of the folders")
            found[name] = place.resolve()
            todo.append(found[name])
    return found
