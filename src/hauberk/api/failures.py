"""Every error becomes one `Failure` body with the right status; no trace leaves the server."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, ValidationException

from hauberk import errors
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.view import Failure

logger = logging.getLogger(__name__)

# The first that fits counts.
_STATUS: tuple[tuple[type[errors.HauberkError], int, str], ...] = (
    (errors.BadFilter, 400, "bad_filter"),
    (errors.BadInput, 400, "bad_input"),
    (errors.Unauthenticated, 401, "unauthenticated"),
    (errors.Forbidden, 403, "forbidden"),
    (errors.Refused, 403, "refused"),
    (errors.NotFound, 404, "not_found"),
    (errors.Conflict, 409, "conflict"),
    (errors.Unsupported, 501, "unsupported"),
    (errors.StorageFull, 507, "storage_full"),
    (errors.Busy, 429, "busy"),
    (errors.Temporary, 503, "unavailable"),
)
_HTTP_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "not_json",
}
_DECODER = "litestar.serialization"
JsonResponse = Response[Failure]
AnyRequest = Request[Any, Any, Any]


def on_hauberk(request: AnyRequest, error: errors.HauberkError) -> JsonResponse:
    """One of our own errors."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            field = error.source if isinstance(error, errors.BadInput) else ""
            headers = {}
            if isinstance(error, errors.Temporary):
                headers["Retry-After"] = str(max(1, round(error.retry_after)))
            return answer(status, code, str(error), field=field, headers=headers)
    return on_unexpected(request, error)


def on_http(_request: AnyRequest, error: HTTPException) -> JsonResponse:
    """An error of the web framework: no such route, a value of the wrong type."""
    status = error.status_code
    code = _HTTP_CODES.get(status, "failed")
    message, field = error.detail, ""
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        first = error.extra[0]
        if isinstance(first, dict):
            # Parameters whose names Python has taken end in an underscore here.
            field = str(first.get("key", "")).rstrip("_")
            message = f"{field}: {first.get('message', '')}" if field else str(first["message"])
    if status >= 500:
        message = "the server failed; its log says why"
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
    return answer(status, code, message, field=field, headers=headers)


def on_decode(request: AnyRequest, error: Exception) -> JsonResponse:
    """A body that is not JSON of the right form, not UTF-8, or nested without end."""
    frames = traceback.walk_tb(error.__traceback__)
    if not any(f.f_globals.get("__name__", "").startswith(_DECODER) for f, _ in frames):
        return on_unexpected(request, error)
    return answer(400, "bad_input", f"the body cannot be read: {error}")


def on_unexpected(request: AnyRequest, error: Exception) -> JsonResponse:
    """A defect: logged with its trace, told without."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(500, "failed", "the server failed; its log says why")


def answer(
    status: int,
    code: str,
    message: str,
    *,
    field: str = "",
    headers: dict[str, str] | None = None,
) -> JsonResponse:
    """The response of a failure."""
    return Response(
        Failure(code=code, message=message, field=field),
        status_code=status,
        media_type=MediaType.JSON,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )


HANDLERS: dict[int | type[Exception], Any] = {
    errors.HauberkError: on_hauberk,
    HTTPException: on_http,
    **dict.fromkeys(UNDECODABLE, on_decode),
    Exception: on_unexpected,
}
