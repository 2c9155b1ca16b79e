"""Which OS package owns which file."""

from __future__ import annotations

from collections.abc import Iterable

from hauberk.assets._owners import find_owners
from hauberk.ports import Host, Notes


def owners(host: Host, paths: Iterable[str], notes: Notes | None = None) -> dict[str, str]:
    """Owner of each of `paths` by the package databases of `host`, read in one pass.

    Args:
        host: the machine.
        paths: absolute, in either spelling of a merged /usr.
        notes: told of databases and lists that could not be read: there a missing owner is
            unknown rather than none.

    Returns:
        path -> key of its `software.os_package` row; paths that no package owns are absent.
    """
    return find_owners(host, Notes() if notes is None else notes, list(paths))
