import packagekit as kit
import pytest

from hauberk.agent import slots_manifest
from hauberk.errors import BadInput


def test_an_untouched_package_has_no_differences(tmp_path):
    place = kit.put_slot(tmp_path)
    assert list(slots_manifest.differences(place, slots_manifest.read(place))) == []


def test_every_kind_of_change_is_told(tmp_path):
    place = kit.put_slot(tmp_path)
    files = {"bin/hauberk": b"h", "lib/gone": b"", "lib/changed": b"1", "lib/mode": b""}
    (place / "lib").mkdir()
    for path, data in files.items():
        (place / path).write_bytes(data)
        (place / path).chmod(0o755 if path.startswith("bin") else 0o644)
    (place / "lib/link").symlink_to("mode")
    (place / "manifest.json").write_bytes(kit.manifest(files, links={"lib/link": "mode"}))
    manifest = slots_manifest.read(place)
    assert list(slots_manifest.differences(place, manifest)) == []
    (place / "lib/gone").unlink()
    (place / "lib/changed").write_bytes(b"2")
    (place / "lib/mode").chmod(0o600)
    (place / "lib/new").write_bytes(b"")
    (place / "lib/link").unlink()
    (place / "lib/link").symlink_to("/etc/passwd")
    assert sorted(slots_manifest.differences(place, manifest)) == [
        "lib/changed: changed",
        "lib/gone: missing",
        "lib/link: changed",
        "lib/mode: other permissions",
        "lib/new: not in the manifest",
    ]


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b"[]", kit.manifest({}, format=2)])
def test_what_is_no_manifest(tmp_path, raw):
    (tmp_path / "manifest.json").write_bytes(raw)
    with pytest.raises(BadInput, match="manifest"):
        slots_manifest.read(tmp_path)


def test_a_missing_or_huge_manifest(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="cannot be read"):
        slots_manifest.read(tmp_path)
    monkeypatch.setattr(slots_manifest, "MAX_MANIFEST", 3)
    (tmp_path / "manifest.json").write_bytes(b"12345")
    with pytest.raises(BadInput, match="over 3 bytes"):
        slots_manifest.read(tmp_path)


def test_the_folders_of_a_package_belong_to_it():
    manifest = slots_manifest.Manifest(
        name="x",
        version="1",
        sequence=1,
        arch="x86_64",
        size=0,
        files=[slots_manifest.ManifestFile(path="lib/a/b.py")],
    )
    assert slots_manifest.paths(manifest) == {"lib/a/b.py", "lib/a", "lib", "manifest.json"}
