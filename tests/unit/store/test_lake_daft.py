"""Which rows it finds is in tests/contract/test_hunt_contract.py: that takes a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hauberk.errors import Unsupported
from hauberk.store.lake import Lake
from hauberk.store.lake_daft import DaftHunt
from hauberk.store.lake_files import FolderFiles


@pytest.mark.parametrize("missing", ["daft", "ray"])
def test_a_missing_extra_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("hauberk.store.lake_daft.os.environ", {})
    monkeypatch.setitem(sys.modules, "daft", sys)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(Unsupported, match=r"hauberk\[hunt\]"):
        DaftHunt(Lake(FolderFiles(tmp_path), app_id="x"))
