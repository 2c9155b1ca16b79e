"""The engine's door to file ownership (its cases: tests/unit/assets/test__owners.py)."""

from hauberk.engines.inventory.ownership import owners
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

FILES = {
    "/var/lib/dpkg/status": "Package: redis-server\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
    "/var/lib/dpkg/info/redis-server.list": "/usr/bin/redis-server\n",
}


def test_keys_are_those_of_package_rows():
    assert owners(DictHost(FILES), ["/usr/bin/redis-server", "/usr/bin/other"]) == {
        "/usr/bin/redis-server": "dpkg\x1fredis-server\x1famd64\x1f"
    }


def test_any_iterable_of_paths_is_taken():
    found = owners(DictHost(FILES), (path for path in ["/usr/bin/redis-server"] * 2))
    assert len(found) == 1


def test_unreadable_databases_are_told_to_who_asks():
    host = DictHost(FILES, denied=["/var/lib/dpkg/status"])
    notes = Notes()
    assert owners(host, ["/usr/bin/redis-server"], notes) == {}
    assert "/var/lib/dpkg/status" in notes.problems[0].what
    assert owners(host, ["/usr/bin/redis-server"]) == {}
