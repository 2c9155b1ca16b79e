import pytest

from hauberk.assets._config_packages import Packages, upstream
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("nginx 1:1.22.1-9+deb12u1", "1.22.1"),
        ("redis 5:7.0.15-1~x", "7.0.15"),
        ("a 2.5", "2.5"),
        ("", ""),
    ],
)
def test_upstream(package, version):
    assert upstream(package) == version


def test_packages():
    notes = Notes()
    host = DictHost(
        {
            "/var/lib/dpkg/status": "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: a\nStatus: install ok installed\nVersion: 2\n",
            "/lib/apk/db/installed": "C:x\nP:redis\nV:7.2.4-r0\n\nP:b\nV:1\n",
        }
    )
    packages = Packages(host, notes)
    assert packages.version(["gone"]) == ""
    assert packages.version(["gone", "a"]) == "a 2"
    assert packages.version(["redis"]) == "redis 7.2.4-r0"
    assert packages.version([]) == ""
    broken = Packages(DictHost({"/var/lib/dpkg/status": b"\nPackage: a\n\xff" * 9999}), notes)
    assert broken.version(["a"]) == ""
    assert notes.problems == []


def test_refused_database_is_noted():
    notes = Notes()
    host = DictHost({}, denied=["/var/lib/dpkg/status"])
    assert Packages(host, notes).version(["a"]) == ""
    assert [p.where for p in notes.problems] == ["/var/lib/dpkg/status"]
