"""Users of the console: list, add, change, reset a password."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.errors import NotFound
from hauberk.schema.view import Role, UserInput, UserPatch, UserView

app = App(name="users", help=__doc__)


@app.command(name="list")
def list_(*, output: Output = "table", data: Path | None = None, tenant: str | None = None) -> None:
    """List the users of the tenant."""
    users = Client(data, tenant=tenant).get("/users", list[UserView])
    rows = [
        {"name": u.name, "role": u.role, "disabled": u.disabled, "last": when(u.last_login_ms)}
        for u in users
    ]
    heads = [("name", "NAME"), ("role", "ROLE"), ("disabled", "DISABLED"), ("last", "LAST LOGIN")]
    _output.rows_out(rows, heads, output, raw=users)


@app.command
def add(
    name: str, *, role: Role = "viewer", data: Path | None = None, tenant: str | None = None
) -> None:
    """Add a user; the password is made here and printed once."""
    made = Client(data, tenant=tenant).send(
        "POST", "/users", UserView, UserInput(name=name, role=role)
    )
    print(f"user {made.name} ({made.role}), password: {made.password}")


@app.command
def reset(name: str = "admin", *, data: Path | None = None, tenant: str | None = None) -> None:
    """Give a user a new password, printed once, and end all its sessions."""
    client = Client(data, tenant=tenant)
    made = client.send("POST", f"/users/{_find(client, name).id}/reset", UserView)
    print(f"user {made.name}, new password: {made.password}")


@app.command
def change(
    name: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Change a user's role, or disable and enable it."""
    client = Client(data, tenant=tenant)
    user = _find(client, name)
    client.send("PATCH", f"/users/{user.id}", UserView, UserPatch(role=role, disabled=disabled))


@app.command
def delete(name: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Delete a user."""
    client = Client(data, tenant=tenant)
    client.delete(f"/users/{_find(client, name).id}")


def _find(client: Client, name: str) -> UserView:
    for user in client.get("/users", list[UserView]):
        if user.name == name:
            return user
    raise NotFound(f"no user {name!r} in this tenant: `hauberk users list` shows them")
