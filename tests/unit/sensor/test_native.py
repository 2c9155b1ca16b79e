from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

from hauberk.errors import Unsupported
from hauberk.sensor import native


def test_without_the_module_the_reason_names_the_mend(monkeypatch):
    monkeypatch.setitem(sys.modules, "hauberk.sensor._native._hb", None)
    with pytest.raises(Unsupported, match="build with gcc, libbpf-dev and cffi"):
        native.load()


def test_a_module_of_another_version_is_refused(monkeypatch):
    other = SimpleNamespace(lib=SimpleNamespace(hb_abi_version=lambda: 99))
    monkeypatch.setattr(importlib, "import_module", lambda _: other)
    with pytest.raises(Unsupported, match="another version"):
        native.load()


def test_an_object_that_was_not_built_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "load", lambda: None)
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    with pytest.raises(Unsupported, match=r"sensor.bpf.o was not built"):
        native.NativeReader.open("sensor")


def test_an_object_that_is_no_object_is_refused_with_the_loaders_words(monkeypatch, tmp_path):
    try:
        native.load()
    except Unsupported as error:
        pytest.skip(f"native part not built: {error}")
    (tmp_path / "sensor.bpf.o").write_bytes(b"\x7fELF garbage")
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    with pytest.raises(Unsupported, match=r"sensor: .*sensor.bpf.o"):
        native.NativeReader.open("sensor")


class FakeLib:
    """The C side as seen through cffi, failing as told."""

    def __init__(self, result):
        self.result = result
        self.closed = 0

    def hb_kinds(self):
        return 8

    def hb_wait(self, *_):
        return self.result

    def hb_lost(self, *_):
        return self.result

    def hb_close(self, _):
        self.closed += 1


def test_errors_of_the_c_side_become_oserror_and_close_is_done_once():
    lib = FakeLib(-9)
    ffi = SimpleNamespace(new=lambda kind, count=1: [0] * (count if "[" in kind else 1))
    reader = native.NativeReader(SimpleNamespace(ffi=ffi, lib=lib), object())
    for call in (lambda: reader.wait(1), reader.lost):
        with pytest.raises(OSError, match="Errno 9"):
            call()
    reader.close()
    reader.close()
    assert lib.closed == 1
