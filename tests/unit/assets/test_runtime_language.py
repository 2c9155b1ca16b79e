import os
import subprocess
import sys

import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.runtime_language import COLLECTOR, language_of, parse_release
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


def program(data=b""):
    return Node(data, mode=0o755)


def found(host):
    rows, problems = run(COLLECTOR, host)
    return {(r.language, r.path): r for r in rows}, problems


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("python3.11", "Python"), ("python", "Python"), ("python3-config", ""), ("pythonw", ""),
        ("java", "Java"), ("javac", ""), ("node", "Node.js"), ("nodejs", "Node.js"),
        ("php8.2", "PHP"), ("php-fpm8.2", "PHP"), ("phpize", ""), ("ruby3.1", "Ruby"),
        ("dotnet", ".NET"), ("go", "Go toolchain"), ("gofmt", ""), ("perl5.36.0", "Perl"), ("", ""),
    ],
)  # fmt: skip
def test_language_of(name, language):
    assert language_of(name) == language


def test_on_disk_with_versions():
    rows, problems = found(
        DictHost(
            {
                "/usr/bin/python3.11": program(b"x\x003.11.2\x00y"),
                "/opt/py/bin/python3.6": program(b"nothing"),
                "/opt/py/include/python3.6m/patchlevel.h": '#define PY_VERSION      "3.6.15"\n',
                "/usr/lib/jvm/jdk/bin/java": program(),
                "/usr/lib/jvm/jdk/release": 'IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n',
                "/usr/bin/node": program(b"..node-v18.19.0/x"),
                "/usr/bin/php8.2": program(b"X-Powered-By: PHP/8.2.7\r\n"),
                "/usr/bin/ruby3.1": program(),
                "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1": b"ruby 3.1.2p20 (2022-04-12)",
                "/usr/share/dotnet/dotnet": program(),
                "/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/x": "",
                "/usr/lib/go-1.19/bin/go": program(),
                "/usr/lib/go-1.19/VERSION": "go1.19.8\n",
                "/usr/bin/perl": program(b"/usr/share/perl/5.36.0\x00"),
                "/usr/bin/python2": Node(b"not executable", mode=0o644),
            },
            links={"/usr/bin/python3": "python3.11", "/usr/bin/java": "/usr/lib/jvm/jdk/bin/java"},
            kind="root",
        )
    )
    assert problems == []
    assert {(lang, r.version) for (lang, _), r in rows.items()} == {
        ("Python", "3.11.2"), ("Python", "3.6.15"), ("Java", "17.0.15"), ("Node.js", "18.19.0"),
        ("PHP", "8.2.7"), ("Ruby", "3.1.2"), (".NET", "8.0.1"), ("Go toolchain", "1.19.8"),
        ("Perl", "5.36.0"),
    }  # fmt: skip
    java = rows["Java", "/usr/lib/jvm/jdk/bin/java"]
    assert (java.vendor, java.running) == ("Debian", False)


def test_another_prefix_never_lends_its_version():
    rows, _ = found(
        DictHost(
            {
                "/opt/py/bin/python3.11": program(b"no version here"),
                "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1": b"\x003.11.2\x00",
            }
        )
    )
    assert rows["Python", "/opt/py/bin/python3.11"].version == ""


def test_processes_and_containers():
    host = (
        Procfs()
        .add(10, exe="/usr/bin/python3.11", argv=["python3"])
        .add(11, exe="/usr/bin/python3.11", argv=["python3"])
        .add(12, exe="/usr/local/bin/node", cgroup=f"0::/docker/{CONTAINER}\n", argv=["node"])
        .host(
            {
                "/usr/bin/python3.11": program(b"\x003.11.2\x00"),
                "/ctr/usr/local/bin/node": program(b"node-v20.1.0"),
            },
            links={"/proc/12/root": "/ctr"},
        )
    )
    rows, problems = found(host)
    assert problems == []
    python = rows["Python", "/usr/bin/python3.11"]
    assert (python.processes, python.running, python.version) == (2, True, "3.11.2")
    node = rows["Node.js", "/usr/local/bin/node"]
    assert (node.container, node.version, node.processes) == (CONTAINER, "20.1.0", 1)


def test_parse_release():
    assert parse_release("") == ("", "")
    assert parse_release('JAVA_VERSION="21"\n\xff\n') == ("21", "")
    assert parse_release('=\n"' * 50_000) == ("", "")


def test_hostile_program_files():
    junk = os.urandom(3) * 1_500_000
    rows, problems = found(
        DictHost({f"/usr/bin/{n}": program(junk) for n in ("python3", "node", "php", "perl")})
    )
    assert len(rows) == 4
    assert problems == []


def test_nothing_there():
    assert run(COLLECTOR, DictHost({"/etc/x": ""})) == ([], [])


def test_live_own_interpreter():
    rows, _ = found(LiveHost())
    mine = rows["Python", os.path.realpath(sys.executable)]
    said = subprocess.check_output(
        [sys.executable, "-c", "import platform; print(platform.python_version())"]
    )
    assert mine.version == said.decode().strip()
    assert mine.running
