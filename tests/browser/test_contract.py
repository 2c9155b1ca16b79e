"""The console's generated files say what this server says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "console/contract.py"


def test_openapi_document_and_event_columns_are_current() -> None:
    spec = importlib.util.spec_from_file_location("console_contract", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.contract().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is old: python console/contract.py && (cd console && npm run client)"
        )
