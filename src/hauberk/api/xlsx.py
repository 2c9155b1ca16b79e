"""Workbooks in bounded memory: rows go to a temporary file as they come."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO

from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.worksheet import Worksheet

from hauberk.api.reader import Cell
from hauberk.errors import StorageFull

# Of the file format, with the title row left out.
MAX_ROWS = 1_048_575
MAX_TEXT = 32_767
_MAX_NUMBER = 2**53
_CHUNK = 64 * 1024
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _File:
    """A temporary file that takes no more once it could not be written.

    Whoever closes an archive that it holds the beginning of does not fail anew.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(  # noqa: SIM115  # `close` is below
            prefix="hauberk-export-"
        )
        self._failed = False

    def write(self, data: bytes) -> int:
        """Write all of it."""
        if self._failed:
            return len(data)
        try:
            return self._file.write(data)
        except OSError:
            self._failed = True
            raise

    def flush(self) -> None:
        """Hand it to the kernel."""
        if self._failed:
            return
        try:
            self._file.flush()
        except OSError:
            self._failed = True
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; what was buffered is written first."""
        return 0 if self._failed else self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return 0 if self._failed else self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        return self._file.read(size)

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Remove it. What is buffered is lost, as it should be."""
        with suppress(OSError):
            self._file.close()


class Book:
    """A workbook that is being written, then read back as chunks.

    Args:
        title: name of the sheet with the rows; further ones are numbered.
        heads: titles of the columns.
        max_rows: rows of one sheet.
    """

    def __init__(self, title: str, heads: Sequence[str], *, max_rows: int = MAX_ROWS) -> None:
        self._title = _FORBIDDEN.sub(" ", title).strip()[:24] or "Sheet"
        self._heads, self._max_rows = heads, max_rows
        self._file = _File()
        # Its worksheets' own temporary files go with this folder, also after a failure.
        self._folder = tempfile.TemporaryDirectory(prefix="hauberk-export-")
        self._book = Workbook(
            self._file, {"constant_memory": True, "tmpdir": self._folder.name, "in_memory": False}
        )
        self._book.use_zip64()
        self._bold = self._book.add_format({"bold": True})
        self._sheet: Worksheet | None = None
        self._sheets = self._at = 0
        self.rows = self.cut = 0

    def write(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Add rows. Raises StorageFull."""
        with _room():
            if self._sheet is None:
                self._sheet = self._next()
            for row in rows:
                if self._at == self._max_rows:
                    self._end()
                    self._sheet = self._next()
                self._at += 1
                self.rows += 1
                for place, value in enumerate(row):
                    self._put(self._sheet, self._at, place, value)

    def finish(self, about: str, facts: Sequence[tuple[str, Cell]]) -> None:
        """Add the sheet that says what this is, and close. Raises StorageFull."""
        with _room():
            if self._sheet is None:
                self._sheet = self._next()
            self._end()
            sheet = self._book.add_worksheet(about)
            sheet.set_column(0, 0, 24)
            sheet.set_column(1, 1, 80)
            for row, (name, value) in enumerate(facts):
                sheet.write_string(row, 0, name, self._bold)
                self._put(sheet, row, 1, value)
            self._book.close()

    def chunks(self) -> Iterator[bytes]:
        """The finished file."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def close(self) -> None:
        """Remove the temporary files."""
        # A book that was given up has open worksheets; their files go with the folder.
        for sheet in self._book.worksheets():
            if sheet.row_data_fh is not None:
                # A full disk refuses what is buffered once more.
                with suppress(OSError):
                    sheet.row_data_fh.close()
        self._file.close()
        self._folder.cleanup()

    def _next(self) -> Worksheet:
        self._sheets += 1
        number = f" {self._sheets}" if self._sheets > 1 else ""
        sheet = self._book.add_worksheet(self._title + number)
        sheet.freeze_panes(1, 0)
        for place, head in enumerate(self._heads):
            sheet.set_column(place, place, min(48, max(12, len(head) + 4)))
            sheet.write_string(0, place, head, self._bold)
        self._at = 0
        return sheet

    def _end(self) -> None:
        if self._sheet is not None and self._heads:
            self._sheet.autofilter(0, 0, max(1, self._at), len(self._heads) - 1)

    def _put(self, sheet: Worksheet, row: int, place: int, value: Cell) -> None:
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                value = value[: MAX_TEXT - 1] + "…"
                self.cut += 1
            # Never `write`: it would make formulas and links of text.
            sheet.write_string(row, place, value)
        elif abs(value) > _MAX_NUMBER:
            sheet.write_string(row, place, str(value))
        else:
            sheet.write_number(row, place, value)


class _room:  # noqa: N801  # reads as a statement
    """A full disk is told as such."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, XlsxWriterException) and error.args:
            cause = error.args[0]
            error = cause if isinstance(cause, OSError) else error
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFull(
                f"no room for the workbook in {tempfile.gettempdir()}: free space there, point "
                "TMPDIR of the server elsewhere, or export CSV, which needs none"
            ) from error
