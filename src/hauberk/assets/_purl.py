"""Package URLs (purl): the one name of a package that feeds, SBOMs and tools share."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The specification keeps ":" as it is; "+" and "@" become escapes.
_ESCAPED = re.compile(rb"[^A-Za-z0-9._~:-]")
_PYPI = re.compile(r"[-_.]+")


def _encode(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return _ESCAPED.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


def purl(
    kind: str,
    name: str,
    version: str = "",
    *,
    namespace: str = "",
    qualifiers: Mapping[str, str] | None = None,
) -> str:
    """Build `pkg:kind/namespace/name@version?qualifiers`; empty when `name` is empty.

    `namespace` may hold several segments divided by "/"; empty qualifiers are left out and the
    rest is sorted, so that equal packages have equal text.
    """
    if not name:
        return ""
    parts = [kind, *(_encode(segment) for segment in namespace.split("/") if segment)]
    text = f"pkg:{'/'.join(parts)}/{_encode(name)}"
    if version:
        text += f"@{_encode(version)}"
    if qualifiers:
        pairs = [f"{key}={_encode(value)}" for key, value in sorted(qualifiers.items()) if value]
        if pairs:
            text += f"?{'&'.join(pairs)}"
    return text


def pypi_name(name: str) -> str:
    """The normalised form of a Python distribution's name (PEP 503)."""
    return _PYPI.sub("-", name).lower()


def npm_purl(name: str, version: str) -> str:
    """Package URL of a Node package; `@scope/name` puts the scope into the namespace."""
    scope, slash, rest = name.partition("/")
    if slash and scope.startswith("@"):
        return purl("npm", rest, version, namespace=scope)
    return purl("npm", name, version)
