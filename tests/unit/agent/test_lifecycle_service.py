import os

import msgspec
import packagekit as kit
import pytest

from hauberk.agent import lifecycle_service as service
from hauberk.agent import slots_manifest
from hauberk.agent.lifecycle_service import Machine
from hauberk.agent.settings import AgentSettings
from hauberk.agent.slots import Slots
from hauberk.agent.slots_manifest import ManifestFile
from hauberk.errors import BadInput, Conflict, HostError

DEFAULT = AgentSettings()


@pytest.fixture
def settings(tmp_path):
    return AgentSettings(folder=str(tmp_path / "var/agent"))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "opt/hauberk"


def source(tmp_path, version, sequence):
    kit.put_slot(tmp_path / version, "a", version, sequence)
    (tmp_path / version / "slots/a/share").mkdir()
    unit = tmp_path / version / "slots/a/share/hauberk-agent.service"
    unit.write_text("ExecStart=/opt/hauberk/confirmed/bin/hauberk-launch\n")
    place = tmp_path / version / "slots/a"
    manifest = slots_manifest.read(place)
    listed = [*manifest.files, ManifestFile(path="share/hauberk-agent.service")]
    manifest = msgspec.structs.replace(manifest, files=listed)
    (place / slots_manifest.NAME).write_bytes(msgspec.json.encode(manifest))
    return place


def test_what_else_lies_there_is_not_taken_along(tmp_path, root, settings):
    place = source(tmp_path, "1", 1)
    (place / "downloaded.txz").write_bytes(b"its own archive")
    (place / "bin/extra").write_bytes(b"not ours")
    (place / "other").mkdir()
    service.install(place, root, settings)
    assert (root / "slots/a/share/hauberk-agent.service").is_file()
    left = {p.name for p in (root / "slots/a").rglob("*")}
    assert not left & {"downloaded.txz", "extra", "other"}


def test_the_first_package_runs_from_slot_a(tmp_path, root, settings):
    said = service.install(source(tmp_path, "1", 1), root, settings)
    assert "slots/a holds version 1" in said
    assert (root / "confirmed/bin/hauberk").is_file()
    assert service.package(root / "slots/a") == root / "slots/a"
    assert service.package(tmp_path) is None


def test_a_newer_one_on_a_machine_without_identity_is_confirmed_at_once(tmp_path, root, settings):
    service.install(source(tmp_path, "1", 1), root, settings)
    service.install(source(tmp_path, "2", 2), root, settings)
    assert str((root / "confirmed").readlink()) == "slots/b"
    assert "already" in service.install(
        source(tmp_path, "3", 2) and tmp_path / "2/slots/a", root, settings
    )


def test_on_an_enrolled_machine_it_is_on_trial(tmp_path, root, settings):
    service.install(source(tmp_path, "1", 1), root, settings)
    settings.identity.mkdir(parents=True)
    (settings.identity / "current").symlink_to("g1")
    assert "on trial" in service.install(source(tmp_path, "2", 2), root, settings)
    start = Slots(root, settings.path / "slots.json").start()
    assert (start.slot, start.trial) == ("b", True)


def test_hard_links_need_no_room_twice(tmp_path, root, settings, monkeypatch):
    place = source(tmp_path, "1", 1)
    service.install(place, root, settings)
    assert (place / "bin/hauberk").stat().st_nlink == 2

    def other_device(*_args, **_kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    service.install(source(tmp_path, "2", 2), root, settings)
    assert (root / "slots/b/bin/hauberk").stat().st_nlink == 1


def test_what_others_could_write_to_is_copied_and_kept_to_root(tmp_path, root, settings):
    """Whoever unpacked it must not be able to change what runs as root later."""
    place = source(tmp_path, "1", 1)
    os.chmod(place / "bin", 0o777)
    (place / "bin/hauberk").chmod(0o775)
    os.chown(place / "share/hauberk-agent.service", 12345, 12345)
    service.install(place, root, settings)
    slot = root / "slots/a"
    for name in ("bin/hauberk", "share/hauberk-agent.service"):
        assert (place / name).stat().st_nlink == 1, name
        assert (slot / name).stat().st_uid == os.geteuid()
        assert (slot / name).read_bytes() == (place / name).read_bytes()
    assert (slot / "bin/hauberk").stat().st_mode & 0o7777 == 0o755
    assert (slot / "bin").stat().st_mode & 0o7777 == 0o755


def test_what_is_no_package(tmp_path, root, settings):
    with pytest.raises(BadInput):
        service.install(tmp_path, root, settings)


@pytest.fixture
def machine(tmp_path):
    calls = []
    for folder in ("run/systemd/system", "etc/systemd/system", "usr/local/bin"):
        (tmp_path / "m" / folder).mkdir(parents=True)
    made = Machine(top=tmp_path / "m", systemctl=lambda a: calls.append(list(a)))
    return made, calls


def test_systemd_starts_it_and_uninstall_leaves_nothing(tmp_path, root, settings, machine):
    made, calls = machine
    service.install(source(tmp_path, "1", 1), root, settings)
    assert "started" in service.activate(root, made, DEFAULT)
    assert calls == [["daemon-reload"], ["enable", "--now", "hauberk-agent.service"]]
    assert made.unit.read_text() == f"ExecStart={root}/confirmed/bin/hauberk-launch\n"
    assert made.command.is_symlink()
    service.activate(root, made, DEFAULT)
    service.stop_service(made)
    assert calls[-1] == ["disable", "--now", "hauberk-agent.service"]
    removed = service.remove_program(made, root / "slots/a")
    assert str(made.unit) in removed
    assert not root.exists()
    assert not made.command.is_symlink()
    assert not made.unit.exists()


def test_without_systemd_it_says_what_to_run(tmp_path, root, settings):
    service.install(source(tmp_path, "1", 1), root, settings)
    bare = Machine(top=tmp_path / "bare")
    assert f"{root}/confirmed/bin/hauberk-launch --supervise" in service.activate(
        root, bare, DEFAULT
    )
    service.stop_service(bare)


def test_the_service_runs_the_agent_of_the_folder_that_was_enrolled(
    tmp_path, root, settings, machine
):
    made, _ = machine
    place = source(tmp_path, "1", 1)
    unit = place / "share/hauberk-agent.service"
    unit.write_text("ConditionPathExists=/var/lib/hauberk/agent/identity\n[Service]\nX=1\n")
    service.install(place, root, settings)
    service.check(root, made, settings)
    service.activate(root, made, settings)
    assert made.unit.read_text() == (
        f"ConditionPathExists={settings.folder}/identity\n"
        f'[Service]\nEnvironment="HAUBERK_AGENT_FOLDER={settings.folder}"\nX=1\n'
    )
    bare = Machine(top=tmp_path / "bare")
    assert f"HAUBERK_AGENT_FOLDER={settings.folder} " in service.activate(root, bare, settings)
    (made.top / "lib/systemd/system").mkdir(parents=True)
    (made.top / "lib/systemd/system/hauberk-agent.service").touch()
    with pytest.raises(Conflict, match="/var/lib/hauberk/agent"):
        service.check(root, made, settings)
    service.check(root, made, DEFAULT)


def test_who_may_not_install_hears_it_before_the_token_is_used(root, machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="by root"):
        service.check(root, machine[0], DEFAULT)


def test_a_foreign_command_stays(tmp_path, root, settings, machine):
    made, _ = machine
    made.command.write_text("mine")
    service.install(source(tmp_path, "1", 1), root, settings)
    service.activate(root, made, DEFAULT)
    service.remove_program(made, root / "slots/a")
    assert made.command.read_text() == "mine"


def test_what_dpkg_installed_is_left_to_dpkg(tmp_path, root, settings, machine):
    made, _ = machine
    (tmp_path / "m/var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "m/var/lib/dpkg/info/hauberk-agent.list").write_text("")
    service.install(source(tmp_path, "1", 1), root, settings)
    assert "dpkg -r" in service.remove_program(made, root / "slots/a")[0]
    assert (root / "slots/a").exists()
    assert service.remove_program(Machine(top=tmp_path / "x"), tmp_path) == []


def test_a_systemctl_that_fails_is_told(tmp_path, monkeypatch):
    tool = tmp_path / "systemctl"
    tool.write_text("#!/bin/sh\necho no such unit >&2\nexit 4\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(HostError, match="no such unit"):
        Machine().systemctl(["daemon-reload"])
