"""Root binds ports and opens keys; then the server is a user of its own."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hauberk
from hauberk.errors import BadInput


def drop(user: str, owned: Path) -> str:
    """Become `user` for good, owner of everything below `owned`.

    Returns:
        "" when done (or not root anyway); else why this process stays root, and what mends it.
    """
    if os.geteuid() != 0:
        return ""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return f"there is no user {user!r}: make it (useradd --system {user}) and start again"
    if entry.pw_uid == 0:
        return "the settings say to run as root: set user to an unprivileged one"
    _own(owned, entry.pw_uid, entry.pw_gid)
    with _as(entry):
        wrong = _unreachable(owned)
    if wrong:
        return f"user {user!r} may not use {wrong}: install Hauberk where that user can read it"
    os.setgroups(_groups(entry))
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir
    return ""


def refuse_links(folder: Path) -> None:
    """Root must not follow links that the server's own user could have put below `folder`.

    Raises:
        BadInput: one of the names that root opens is a link.
    """
    if os.geteuid() != 0:
        return
    opened = [folder, folder / "run", folder / "keys"]
    inner = [
        p for top in opened[1:] if top.is_dir() and not top.is_symlink() for p in top.iterdir()
    ]
    for path in (*opened, *inner):
        if path.is_symlink():
            raise BadInput("is a link: remove it and see who made it", source=str(path))


def _groups(entry: pwd.struct_passwd) -> list[int]:
    named = [g.gr_gid for g in grp.getgrall() if entry.pw_name in g.gr_mem]
    return sorted({entry.pw_gid, *named})


@contextmanager
def _as(entry: pwd.struct_passwd) -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups(_groups(entry))
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _unreachable(owned: Path) -> str:
    """The first thing that the present user cannot use, "" when all is well."""
    needs = [
        (owned, os.W_OK | os.X_OK),
        (Path(sys.executable), os.X_OK),
        (Path(os.__file__), os.R_OK),
        (Path(hauberk.__file__), os.R_OK),
        *((Path(p), os.R_OK | os.X_OK) for p in sys.path if p and Path(p).is_dir()),
    ]
    for path, mode in needs:
        try:
            if not os.access(path, mode, effective_ids=True):
                return str(path)
        except OSError:
            return str(path)
    return ""


def _own(root: Path, uid: int, gid: int) -> None:
    """Give everything below `root` to a user; links are not followed."""
    os.chown(root, uid, gid)
    for folder, folders, files, handle in os.fwalk(root, follow_symlinks=False):
        del folder
        for name in (*folders, *files):
            stat = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if (stat.st_uid, stat.st_gid) != (uid, gid):
                os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
