import io
import lzma
import os
import tarfile

import packagekit as kit
import pytest

from hauberk.agent import updater_unpack
from hauberk.agent.updater_unpack import unpack
from hauberk.errors import BadInput, StorageFull


def nothing(_size):
    return None


@pytest.fixture
def take(tmp_path):
    """Unpack bytes; the folder."""

    def run(data, room=nothing):
        (tmp_path / "in.tar.xz").write_bytes(data)
        into = tmp_path / "top/out"
        into.parent.mkdir(exist_ok=True)
        unpack(tmp_path / "in.tar.xz", into, room=room)
        return into

    return run


def test_a_package(take):
    files = {"bin/hauberk": b"#!/bin/sh\n", "lib/deep/er/x": b"x"}
    out = take(kit.package(files, {"bin/python": "hauberk", "lib/deep/up": "../../bin"}))
    assert (out / "lib/deep/er/x").read_bytes() == b"x"
    assert os.access(out / "bin/python", os.X_OK)
    assert (out / "lib/deep/er/x").stat().st_mode & 0o777 == 0o644
    assert (out / "lib/deep/up").resolve() == (out / "bin").resolve()


def test_the_services_umask_locks_nobody_out_of_the_command(take):
    before = os.umask(0o077)
    try:
        out = take(kit.package({"lib/deep/x": b"x"}))
    finally:
        os.umask(before)
    for folder in (out, out / "lib", out / "lib/deep"):
        assert folder.stat().st_mode & 0o777 == 0o755


def special(kind, name="lib/evil", link=""):
    return kit.package(extra=[kit.member(name, kind=kind, link=link)])


@pytest.mark.parametrize(
    "data",
    [
        kit.package(extra=[kit.member("../evil", b"x")]),
        kit.package(extra=[kit.member("lib/../../evil", b"x")]),
        kit.package(extra=[kit.member("/etc/evil", b"x")]),
        kit.package(extra=[kit.member(".", b"")]),
        kit.package(extra=[kit.member("a" * 90 + "/x", b"x")]),
        kit.package(extra=[kit.member("lib/x", b"again")]),
        kit.package(extra=[kit.member("lib/x/below", b"under a file")]),
        kit.package(extra=[kit.member("lib", b"a folder before")]),
        special(tarfile.SYMTYPE, link="/etc/passwd"),
        special(tarfile.SYMTYPE, link="../../etc/passwd"),
        special(tarfile.SYMTYPE, link="x/../../../etc"),
        special(tarfile.SYMTYPE, link=".."),
        special(tarfile.LNKTYPE, link="lib/x"),
        special(tarfile.LNKTYPE, link="/etc/passwd"),
        special(tarfile.CHRTYPE),
        special(tarfile.BLKTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.GNUTYPE_SPARSE),
        special(b"Z"),
        # a link out of the way, and a file through it
        kit.package(
            extra=[kit.member("d", kind=tarfile.SYMTYPE, link="lib"), kit.member("d/x2", b"x")]
        ),
    ],
)
def test_hostile_members(take, tmp_path, data):
    with pytest.raises(BadInput):
        take(data)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "top/evil").exists()


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extended_headers_are_not_read_into_memory(take, fmt):
    head = kit.member("manifest.json", kit.manifest({}))
    with pytest.raises(BadInput, match="no file, folder or link"):
        take(kit.archive([head, kit.member("lib/" + "n" * 200, b"x")], fmt))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends in the middle"),
        (b"not xz at all", "damaged"),
        (kit.package()[: len(kit.package()) // 2], "damaged|middle"),
        (lzma.compress(b"no tar in here" * 100), "damaged"),
        (kit.archive([]), "holds nothing"),
        (kit.archive([kit.member("other.json", b"{}")]), "begins with"),
        (kit.archive([kit.member("manifest.json", b"{}")]), "not a package's manifest"),
        (kit.package(head=kit.manifest({}, format=9)), "format 9"),
        (kit.package(head=kit.manifest({})), "not in the manifest"),
        (kit.package({}, head=kit.manifest({"a": b"a"})), "a is missing"),
        (kit.package({"a": b"b"}, head=kit.manifest({"a": b"a"})), "not what the manifest"),
        (kit.package({}, size=updater_unpack.MAX_BYTES + 1), "announces"),
    ],
)
def test_damaged_or_other_than_listed(take, data, says):
    with pytest.raises(BadInput, match=says):
        take(data)


def test_a_bomb_ends_at_the_bound(take, monkeypatch):
    monkeypatch.setattr(updater_unpack, "MAX_BYTES", 1_000_000)
    data = bytes(3_000_000)
    with pytest.raises(BadInput, match="more than"):
        take(kit.package({"lib/zeros": data}, size=10))


def test_too_many_members(take, monkeypatch):
    monkeypatch.setattr(updater_unpack, "MAX_MEMBERS", 5)
    with pytest.raises(BadInput, match="more than 5"):
        take(kit.package({f"lib/{n}": b"" for n in range(9)}))


def test_a_dictionary_that_needs_too_much_memory(take):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 * 1024 * 1024}]
    with pytest.raises(BadInput, match="damaged"):
        take(lzma.compress(bytes(2000), lzma.FORMAT_XZ, filters=filters))


def test_room_is_asked_for_before_anything_large_is_written(take, tmp_path):
    asked = []

    def none(size):
        asked.append(size)
        raise StorageFull("no room")

    with pytest.raises(StorageFull):
        take(kit.package({"lib/x": b"x" * 5000}), none)
    assert asked == [5000]
    assert not (tmp_path / "top/out/lib").exists()


def test_a_device_that_fills_up_while_unpacking(take, monkeypatch):
    real = io.open

    def full(file, *args, **kwargs):
        if isinstance(file, int):
            os.close(file)
            raise OSError(28, "No space left on device")
        return real(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(StorageFull, match="No space"):
        take(kit.package())
