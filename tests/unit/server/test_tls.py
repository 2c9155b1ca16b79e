from __future__ import annotations

from pathlib import Path

import pytest
from storekit import DAY_NS, Kit

from hauberk.errors import BadInput
from hauberk.server.settings import Settings
from hauberk.server.tls import Tls


def test_certificate_is_made_and_renewed(kit: Kit) -> None:
    tls = Tls(Settings(), kit.keys, kit.clock)
    digest, names, end = tls.facts()
    assert "localhost" in names
    assert tls.renew() is False
    kit.clock.forward(350 * DAY_NS / 1e9)
    assert tls.renew() is True
    assert tls.facts()[0] != digest
    assert tls.facts()[2] > end


def test_own_certificate_is_for_the_console_only(kit: Kit, tmp_path: Path) -> None:
    kit.keys.server_certificate(["web.example"], now_ns=kit.clock.wall)
    for source, name in zip(kit.keys.server_files, ("own.pem", "own.key"), strict=True):
        (tmp_path / name).write_bytes(source.read_bytes())
    own = Settings(tls_cert=str(tmp_path / "own.pem"), tls_key=str(tmp_path / "own.key"))
    tls = Tls(own, kit.keys, kit.clock)
    assert tls.own
    assert tls.facts()[1] == ["web.example"]
    with pytest.raises(BadInput, match=r"own\.pem"):
        Tls(Settings(tls_cert=str(tmp_path / "own.pem"), tls_key="/dev/null"), kit.keys, kit.clock)
