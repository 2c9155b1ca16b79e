from __future__ import annotations

import io
import lzma
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rolloutkit import package, tar_of

from hauberk.errors import BadInput
from hauberk.store import package_file
from hauberk.store.package_file import read_manifest


def read(raw: bytes) -> package_file.Manifest:
    return read_manifest(io.BytesIO(raw))


def test_a_package_tells_its_version() -> None:
    found = read(package("1.4.0~rc1", 7, files={"bin/hauberk": b"x" * 5000, "lib/a": b""}))
    assert (found.version, found.sequence, found.arch) == ("1.4.0~rc1", 7, "x86_64")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"version": "1 2"}, "version"),
        ({"sequence": 0}, "sequence"),
        ({"sequence": 2**62}, "sequence"),
        ({"arch": "../x"}, "architecture"),
        ({"files": []}, "bin/hauberk' is not what"),
        ({"files": 3}, "cannot be read"),
        ({"files": [{"path": "bin/hauberk", "sha256": "00"}]}, "is not what"),
        ({"files": [{"path": "bin/none", "sha256": "00"}]}, "is not what"),
    ],
)
def test_wrong_manifests_are_named(manifest: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(package(manifest=manifest))


def test_what_is_no_package() -> None:
    whole = package()
    unpacked = lzma.decompress(whole)
    device = tarfile.TarInfo("dev")
    device.type = tarfile.CHRTYPE
    first = tar_of([(tarfile.TarInfo("other"), b"x")])
    twice = unpacked[:1024] + tar_of([(tarfile.TarInfo("a"), b"x"), (tarfile.TarInfo("a"), b"x")])
    for raw, message in (
        (b"", "cut short"),
        (b"PK\x03\x04 no xz at all", "no .tar.xz"),
        (whole[:-40], "cut short|damaged"),
        (whole[:60] + b"\0\0\0\0" + whole[64:], "damaged"),
        (whole + b"more", "after its end"),
        (lzma.compress(b"x" * 4096), "damaged or no tar"),
        (lzma.compress(unpacked[:700]), "cut short"),
        (lzma.compress(b"\0" * 2048), "holds nothing"),
        (lzma.compress(first), "begins with 'other'"),
        (lzma.compress(tar_of([(device, b"")])), "no file, folder or link"),
        (lzma.compress(twice), "comes twice"),
    ):
        with pytest.raises(BadInput, match=message):
            read(raw)


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = package(files={"big": b"\0" * 3_000_000})
    assert len(bomb) < 10_000
    monkeypatch.setattr(package_file, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(BadInput, match="unpacks to over"):
        read(bomb)
    monkeypatch.setattr(package_file, "MAX_MEMBERS", 1)
    with pytest.raises(BadInput, match="members"):
        read(package())
    monkeypatch.setattr(package_file, "MAX_MANIFEST", 10)
    with pytest.raises(BadInput, match="over 10 bytes"):
        read(package())
    monkeypatch.setattr(package_file, "_XZ_MEMORY", 1_000_000)
    with pytest.raises(BadInput, match="damaged"):
        read(package(preset=9))


def outcome(raw: bytes) -> str:
    """The version, or the beginning of what is wrong."""
    try:
        return read(raw).version
    except BadInput as error:
        return str(error).removeprefix("package: ").partition(":")[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damage_is_found_or_harmless(at: int, noise: bytes) -> None:
    whole = package()
    raw = whole[:at] + noise + whole[at + len(noise) :]
    assert outcome(raw) in ("1.2.0", "not an agent package")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=12))
def test_a_damaged_archive_within_whole_xz(at: int, noise: bytes) -> None:
    inner = lzma.decompress(package())
    damaged = lzma.compress(inner[:at] + noise + inner[at + len(noise) :], preset=0)
    found = outcome(damaged)
    assert found == "not an agent package" or len(found) <= 64
