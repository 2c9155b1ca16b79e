"""The server's private keys: plain in their folder, or wrapped by a key that is kept elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hauberk.cli import _data, _output
from hauberk.cli._output import Output
from hauberk.errors import BadInput, Conflict
from hauberk.server import settings as server_settings
from hauberk.server.settings import Settings
from hauberk.store import keys as store_keys
from hauberk.store import wrap as wraps
from hauberk.store.wrap import Wrap

app = App(name="keys", help=__doc__)


@app.default
def keys(*, output: Output = "table", data: Path | None = None, config: Path | None = None) -> None:
    """Show how each private key of the server is kept."""
    settings = _settings(data, config)
    rows = [{"file": name, "kept": words} for name, words in kept(settings.keys_folder)]
    _output.rows_out(rows, [("file", "FILE"), ("kept", "KEPT")], output, raw=rows)


@app.command
def new(file: Path) -> None:
    """Make a wrapping key, and say how to use it.

    Args:
        file: new file, on another disk than the server's data and its backups.
    """
    made = wraps.new_key(file)
    print(
        f"wrapping key {made.id} in {file}: keep a second copy, nothing opens the keys without it"
    )
    print(f'then set wrap_key_file = "{file}" (HAUBERK_WRAP_KEY_FILE) and restart the server')


@app.command
def wrap(*, data: Path | None = None, config: Path | None = None) -> None:
    """Wrap the keys now with wrap_key_file, as the next start would."""
    settings = _settings(data, config)
    given = _given(settings)
    if given is None:
        raise BadInput(f"no wrap_key_file is set: {wraps.HOW}", source="wrap_key_file")
    _change(settings, given, given)


@app.command
def unwrap(*, data: Path | None = None, config: Path | None = None) -> None:
    """Keep the keys plain again; then take wrap_key_file out of the settings."""
    settings = _settings(data, config)
    _change(settings, _given(settings), None)


@app.command
def rotate(file: Path, *, data: Path | None = None, config: Path | None = None) -> None:
    """Wrap the keys with another wrapping key; then set wrap_key_file to it.

    Args:
        file: the new wrapping key, from `hauberk keys new`.
        data: data folder.
        config: TOML file with a [server] table, as the server has it.
    """
    settings = _settings(data, config)
    _change(settings, _given(settings), wraps.load(file))
    print(f'now set wrap_key_file = "{file}"; backups of before still need the old one')


def kept(folder: Path) -> list[tuple[str, str]]:
    """(file, how it is kept) of each private key. Raises OSError where one may not look."""
    rows = []
    for name in store_keys.FILES:
        path = folder / name
        if path.exists():
            known = wraps.state_of(path)
            rows.append((name, f"wrapped by {known}" if known else "plain, mode 0600"))
    return rows


def _settings(data: Path | None, config: Path | None) -> Settings:
    folder = _data.data_dir(data)
    return server_settings.load(os.environ, options={"data": folder}, config=config)


def _given(settings: Settings) -> Wrap | None:
    return wraps.load(Path(settings.wrap_key_file)) if settings.wrap_key_file else None


def _change(settings: Settings, old: Wrap | None, to: Wrap | None) -> None:
    if pid := _data.pid_of(settings.pid_file):
        raise Conflict(f"a server runs on {settings.data} (process {pid}): stop it first")
    if not settings.keys_folder.is_dir():
        raise BadInput("no server has made keys here yet", source=str(settings.keys_folder))
    changed = store_keys.rewrap(settings.keys_folder, old, to)
    how = f"wrapped by {to.id}" if to is not None else "plain"
    print(f"{how}: {', '.join(changed) or 'as they were'}")
