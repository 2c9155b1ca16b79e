from __future__ import annotations

from pathlib import Path

import pytest
from storekit import NOW_NS

from hauberk.cli import doctor, keys
from hauberk.errors import BadInput
from hauberk.store.keys import Keys


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAUBERK_CONFIG", str(tmp_path / "hauberk.toml"))
    (tmp_path / "hauberk.toml").write_text("[server]\n")
    Keys(tmp_path / "server/keys", now_ns=NOW_NS)
    return tmp_path


def test_wrap_rotate_unwrap(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput, match="hauberk keys new"):
        keys.wrap(data=data)
    keys.new(data / "one")
    keys.new(data / "two")
    monkeypatch.setenv("HAUBERK_WRAP_KEY_FILE", str(data / "one"))
    keys.wrap(data=data)
    folder = data / "server/keys"
    assert all(how.startswith("wrapped by ") for _, how in keys.kept(folder))
    assert [f.verdict for f in doctor._keys(data)] == ["ok"]
    keys.rotate(data / "two", data=data)
    with pytest.raises(BadInput, match="is wrapped by the key"):
        keys.unwrap(data=data)
    monkeypatch.setenv("HAUBERK_WRAP_KEY_FILE", str(data / "two"))
    keys.unwrap(data=data)
    assert {how for _, how in keys.kept(folder)} == {"plain, mode 0600"}
    keys.keys(data=data)
    assert "task.key" in capsys.readouterr().out


def test_doctor_tells_plain_keys_and_stays_silent_where_no_server_is(
    data: Path, tmp_path: Path
) -> None:
    (finding,) = doctor._keys(data)
    assert (finding.verdict, "ca.key" in finding.says) == ("note", True)
    assert list(doctor._keys(tmp_path / "nothing")) == []


def test_there_must_be_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAUBERK_CONFIG", str(tmp_path / "hauberk.toml"))
    (tmp_path / "hauberk.toml").write_text("[server]\n")
    with pytest.raises(BadInput, match="no server has made keys"):
        keys.unwrap(data=tmp_path)
