from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apikit
import pytest


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    yield made
    made.close()
