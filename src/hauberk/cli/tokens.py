"""API tokens: list, make, revoke."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.errors import NotFound
from hauberk.schema.view import Role, TokenInput, TokenView

app = App(name="tokens", help=__doc__)


@app.command(name="list")
def list_(*, output: Output = "table", data: Path | None = None, tenant: str | None = None) -> None:
    """List the tokens of the tenant."""
    tokens = Client(data, tenant=tenant).get("/tokens", list[TokenView])
    rows = [
        {
            "name": t.name,
            "role": t.role,
            "by": t.created_by,
            "expires": when(t.expires_ms),
            "used": when(t.last_used_ms),
        }
        for t in tokens
    ]
    heads = [
        ("name", "NAME"),
        ("role", "ROLE"),
        ("by", "MADE BY"),
        ("expires", "EXPIRES"),
        ("used", "LAST USED"),
    ]
    _output.rows_out(rows, heads, output, raw=tokens)


@app.command
def new(
    name: str,
    *,
    role: Role = "viewer",
    days: int = 90,
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Make a token; it is printed once."""
    wish = TokenInput(name=name, role=role, ttl_s=days * 86_400)
    made = Client(data, tenant=tenant).send("POST", "/tokens", TokenView, wish)
    print(made.token)


@app.command
def revoke(name: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Revoke a token by name."""
    client = Client(data, tenant=tenant)
    for token in client.get("/tokens", list[TokenView]):
        if token.name == name:
            client.delete(f"/tokens/{token.id}")
            return
    raise NotFound(f"no token {name!r}: `hauberk tokens list` shows them")
