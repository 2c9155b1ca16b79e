"""What people call a container, for rows that know only its runtime id."""

from __future__ import annotations

from hauberk.errors import HostError
from hauberk.ports import Host

SHORT = 12


class ContainerNames:
    """Names by runtime id; the runtimes are asked once, and only when a row is in a container."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._names: dict[str, str] | None = None

    def of(self, container: str) -> str:
        """The runtime's name, the short id where no runtime knows it, "" for no container."""
        if not container:
            return ""
        if self._names is None:
            self._names = _ask(self._host)
        return self._names.get(container, container[:SHORT])


def _ask(host: Host) -> dict[str, str]:
    names: dict[str, str] = {}
    for runtime in host.runtimes():
        try:
            found = runtime.containers()
        except HostError:
            continue  # container.container reports the socket that does not answer
        for container in found:
            # containerd below Docker knows the same id, but not the name.
            if container.name and container.name != container.id:
                names.setdefault(container.id, container.name)
    return names
