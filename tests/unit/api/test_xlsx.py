from __future__ import annotations

import io
import tempfile
import zipfile

import pytest

from hauberk.api.xlsx import Book
from hauberk.errors import StorageFull


def made(book):
    raw = b"".join(book.chunks())
    book.close()
    return zipfile.ZipFile(io.BytesIO(raw))


def test_rows_that_do_not_fit_go_to_further_sheets(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    book = Book("a/b: [list]?", ["n", "t"], max_rows=10)
    book.write([n, "=1+1"] for n in range(25))
    book.finish("About", [("Rows", book.rows)])
    archive = made(book)
    names = archive.read("xl/workbook.xml").decode()
    for name in ('"a b   list"', '"a b   list 2"', '"a b   list 3"', '"About"'):
        assert name in names
    counts = [archive.read(f"xl/worksheets/sheet{n}.xml").decode().count("<row") for n in (1, 2, 3)]
    assert counts == [11, 11, 6]
    first = archive.read("xl/worksheets/sheet1.xml").decode()
    assert '<autoFilter ref="A1:B11"' in first
    assert "<f>" not in first
    assert list(tmp_path.iterdir()) == []


def test_long_text_is_cut_and_counted():
    book = Book("x", ["a"])
    book.write([["y" * 40_000], ["z"]])
    assert (book.rows, book.cut) == (2, 1)
    book.finish("About", [])
    assert "y…" in made(book).read("xl/worksheets/sheet1.xml").decode()


def test_numbers_that_a_sheet_cannot_hold_are_text():
    book = Book("x", ["a"])
    book.write([[2**60], [1.5]])
    book.finish("About", [])
    text = made(book).read("xl/worksheets/sheet1.xml").decode()
    assert str(2**60) in text
    assert "<v>1.5</v>" in text


def test_a_book_that_is_given_up_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    book = Book("x", ["a"])

    def rows():
        yield ["a"]
        raise KeyError

    with pytest.raises(KeyError):
        book.write(rows())
    book.close()
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_not_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        Book("x", ["a"])


def test_a_full_disk_is_told():
    book = Book("x", ["a"])
    book._file._file.close()
    with open("/dev/full", "r+b", buffering=0) as full:
        book._file._file = full
        book.write([["a"]])
        with pytest.raises(StorageFull, match="export CSV"):
            book.finish("About", [])
        book.close()
