"""`python -m hauberk.api.openapi` prints the OpenAPI document that the console is made of."""

from __future__ import annotations

import sys

import msgspec
from litestar import Litestar, Router
from litestar.di import Provide

from hauberk.api import app, document, health


def text() -> str:
    """The document as indented JSON; needs no stores."""
    routes = Litestar(
        [Router(app.PREFIX, route_handlers=app.described()), *health.ROUTES],
        dependencies={"ctx": Provide(_no_context), "who": Provide(_nobody)},
        openapi_config=document.CONFIG,
        plugins=document.PLUGINS,
        logging_config=None,
    )
    whole = document.finish(routes.openapi_schema.to_schema())
    return msgspec.json.format(msgspec.json.encode(whole)).decode()


# Routes are described here, never called.
async def _no_context() -> None: ...
async def _nobody() -> None: ...


if __name__ == "__main__":
    sys.stdout.write(text() + "\n")
