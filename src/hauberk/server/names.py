"""Which names and addresses this server answers to: what its certificate must say."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path

from hauberk.server.settings import Settings, address_of

_ALWAYS = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
_MAX = 64


def certificate_names(settings: Settings) -> list[str]:
    """Names for the certificate: localhost, the machine's, the listening addresses, settings'."""
    found = [*_ALWAYS, *settings.names, *host_names()]
    for name in ("listen", "gateway"):
        host, _ = address_of(getattr(settings, name), name)
        if not _wildcard(host):
            found.append(host)
    found += machine_addresses()
    return [n for n in dict.fromkeys(found) if _address(n) or _NAME.fullmatch(n)][:_MAX]


def host_names() -> list[str]:
    """Host name and fully qualified name."""
    return list(dict.fromkeys(n for n in (socket.gethostname(), socket.getfqdn()) if n))


def machine_addresses() -> list[str]:
    """Addresses of this machine's interfaces, without loopback and link-local ones."""
    found: list[str] = []
    trie = Path("/proc/net/fib_trie")
    if trie.exists():
        found += _LOCAL.findall(trie.read_text())
    v6 = Path("/proc/net/if_inet6")
    if v6.exists():
        found += [
            str(ipaddress.ip_address(bytes.fromhex(line[:32])))
            for line in v6.read_text().split("\n")
            if line
        ]
    usable: list[str] = []
    for text in dict.fromkeys(found):
        address = ipaddress.ip_address(text)
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            usable.append(text)
    return usable


def url(host: str, port: int) -> str:
    """https://host:port as another program reaches it; a wildcard becomes an address."""
    if _wildcard(host):
        v4 = [a for a in machine_addresses() if ":" not in a]
        host = v4[0] if v4 else "127.0.0.1"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")  # noqa: S104  compared, not bound


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
