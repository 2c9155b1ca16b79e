from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hauberk.errors import BadInput
from hauberk.server import privileges

SCRIPT = """
import os, sys
from pathlib import Path
from hauberk.server import privileges
privileges._unreachable = lambda owned: ""
why = privileges.drop("nobody", Path(sys.argv[1]))
try:
    os.setuid(0)
    back = True
except PermissionError:
    back = False
print(repr(why), os.geteuid() != 0, os.getgroups() != [0], back)
"""


@pytest.mark.root
def test_root_becomes_the_user_for_good_and_owns_the_data(tmp_path: Path) -> None:
    owned = tmp_path / "server"
    (owned / "keys").mkdir(parents=True)
    (owned / "keys/ca.key").write_text("x")
    (owned / "link").symlink_to("/etc/passwd")
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(owned)], check=True, capture_output=True, text=True
    ).stdout
    assert said.split() == ["''", "True", "True", "False"]
    assert (owned / "keys/ca.key").stat().st_uid == owned.stat().st_uid != 0
    assert Path("/etc/passwd").stat().st_uid == 0


@pytest.mark.root
def test_what_prevents_it_is_said_and_nothing_changes(tmp_path: Path) -> None:
    assert "useradd" in privileges.drop("no-such-user", tmp_path)
    assert "unprivileged" in privileges.drop("root", tmp_path)
    tmp_path.chmod(0o700)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    inner = closed / "server"
    inner.mkdir()
    assert "may not use" in privileges.drop("nobody", inner)
    assert os.geteuid() == 0


@pytest.mark.root
def test_links_of_the_servers_user_are_not_followed(tmp_path: Path) -> None:
    privileges.refuse_links(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/server.pid").write_text("1")
    privileges.refuse_links(tmp_path)
    (tmp_path / "run/server.pid").unlink()
    (tmp_path / "run/server.pid").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="link"):
        privileges.refuse_links(tmp_path)


def test_others_have_nothing_to_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert privileges.drop("no-such-user", tmp_path) == ""
