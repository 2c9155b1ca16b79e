from __future__ import annotations

import subprocess
import sys

import msgspec

from hauberk.api import openapi


def test_it_is_printed_without_stores():
    done = subprocess.run(
        [sys.executable, "-m", "hauberk.api.openapi"], capture_output=True, check=True, text=True
    )
    document = msgspec.json.decode(done.stdout)
    assert document["openapi"].startswith("3.1")
    assert document == msgspec.json.decode(openapi.text())
    assert "/api/v1/assets/{subclass}" in document["paths"]
