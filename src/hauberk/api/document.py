"""The OpenAPI 3.1 document: /schema/openapi.json."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request
from litestar._openapi.schema_generation import SchemaCreator
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIType,
    Schema,
    SecurityScheme,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from hauberk import __version__
from hauberk.api.export import MEDIA
from hauberk.schema import view
from hauberk.schema.taxonomy import Title


class TitlePlugin(OpenAPISchemaPlugin):
    """A Title travels as [en, zh], which the generator would describe as an object."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Only Title."""
        return value is Title

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """A pair of strings."""
        del field_definition, schema_creator
        text = Schema(type=OpenAPIType.STRING)
        return Schema(
            type=OpenAPIType.ARRAY,
            prefix_items=[text, text],
            min_items=2,
            max_items=2,
            description="English, Chinese",
        )


EXPORTS = {
    "/api/v1/assets/{subclass}/export": "AssetRow",
    "/api/v1/events/export": "EventRow",
    "/api/v1/changes/export": "Change",
    "/api/v1/workloads/export": "WorkloadView",
    "/api/v1/agents/export": "AgentView",
    "/api/v1/runs/{run_id}/tasks/export": "RunTaskView",
    "/api/v1/audit/export": "AuditView",
}


# Bodies that are files.
UPLOADS = ("/api/v1/packages",)


class JsonDocument(JsonRenderPlugin):
    """/schema/openapi.json with `finish` applied."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document's bytes."""
        return self.render_json(request, finish(openapi_schema))


def finish(document: dict[str, Any]) -> dict[str, Any]:
    """Give generics plain names, and say that answers carry all their fields.

    A field with a default may be left out of a request, but is always in an answer.
    """
    text = msgspec.json.encode(document).decode()
    text = re.sub(r"Page_hauberk\.schema\.view\w*\.(\w+?)_\b", r"PageOf\1", text)
    done: dict[str, Any] = msgspec.json.decode(text)
    for path, item in EXPORTS.items():
        if path in done["paths"]:
            done["paths"][path]["get"]["responses"]["200"]["content"] = _exported(item)
    for path in UPLOADS:
        if path in done["paths"]:
            done["paths"][path]["post"]["requestBody"] = {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            }
    for name, schema in done["components"]["schemas"].items():
        if name not in _REQUESTS and "properties" in schema:
            schema["required"] = sorted(schema["properties"])
        if name in _REQUESTS:
            schema["additionalProperties"] = False
    return done


def _exported(item: str) -> dict[str, Any]:
    rows = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    file = {"schema": {"type": "string", "format": "binary"}}
    return {
        "text/csv": {"schema": {"type": "string"}},
        MEDIA["xlsx"]: file,
        "application/json": {"schema": rows},
    }


def operation_id(handler: HTTPRouteHandler, _method: Any, _path: Any) -> str:
    """The function's name is the operation's."""
    return handler.handler_name


_REQUESTS = frozenset(
    name
    for name, kind in vars(view).items()
    if isinstance(kind, type)
    and issubclass(kind, msgspec.Struct)
    and kind.__struct_config__.forbid_unknown_fields
)


CONFIG = OpenAPIConfig(
    title="Hauberk",
    version=__version__,
    description="Workload protection: inventory, events, agents. Times are ms since 1970.",
    path="/schema",
    operation_id_creator=operation_id,
    render_plugins=[JsonDocument(path="/openapi.json")],
    security=[{"token": []}, {"session": []}],
    components=Components(
        security_schemes={
            "token": SecurityScheme(type="http", scheme="bearer", description="`hbt_...`"),
            "session": SecurityScheme(
                type="apiKey", name="__Host-hauberk", security_scheme_in="cookie"
            ),
        }
    ),
)
PLUGINS = [TitlePlugin()]
