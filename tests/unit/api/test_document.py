from __future__ import annotations

import msgspec

from hauberk.api import document, openapi
from hauberk.schema import view

DOCUMENT = msgspec.json.decode(openapi.text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_a_title_is_a_pair():
    title = SCHEMAS["ClassState"]["properties"]["title"]
    assert (title["type"], title["minItems"], title["maxItems"]) == ("array", 2, 2)


def test_answers_carry_all_fields_and_requests_only_what_they_need():
    assert SCHEMAS["Me"]["required"] == sorted(view.Me.__struct_fields__)
    assert SCHEMAS["TokenInput"]["required"] == ["name", "role"]
    assert SCHEMAS["TokenInput"]["additionalProperties"] is False


def test_names_are_plain():
    assert "PageOfAssetRow" in SCHEMAS
    assert not [name for name in SCHEMAS if "." in name]
    ids = [o["operationId"] for p in DOCUMENT["paths"].values() for o in p.values()]
    assert len(ids) == len(set(ids))
    assert "list_assets" in ids


def test_exports_have_three_forms():
    for path in document.EXPORTS:
        content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]
        assert set(content) == {"text/csv", "application/json", document.MEDIA["xlsx"]}


def test_every_failure_is_a_failure():
    for path, methods in DOCUMENT["paths"].items():
        if not path.startswith("/api/"):
            continue
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Failure"}


def test_uploads_are_bytes():
    for path in document.UPLOADS:
        content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]
        assert set(content) == {"application/octet-stream"}
