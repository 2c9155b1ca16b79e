import re

import pytest
from procfs import Procfs, run

from hauberk.assets.application_web_server import APPS, COLLECTOR
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node
from hauberk.schema.asset import columns_of


def test_nginx_with_workers():
    host = (
        Procfs()
        .add(
            10,
            b"nginx",
            exe="/usr/sbin/nginx",
            argv=["nginx: master process /usr/sbin/nginx"],
            start=2,
        )
        .add(11, b"nginx", exe="/usr/sbin/nginx", argv=["nginx: worker process"], ppid=10, start=3)
        .host(
            {
                "/usr/sbin/nginx": Node("built nginx/1.22.1 (x)", mode=0o755),
                "/etc/nginx/nginx.conf": "user www-data;\nhttp { server { listen 8080; } }\n",
            }
        )
    )
    (row,), problems = run(COLLECTOR, host)
    assert problems == []
    assert (row.name, row.version, row.running, row.pid) == ("nginx", "1.22.1", True, 10)
    assert row.listen == ["8080"]
    assert (row.pids, row.config, row.start_ns) == (
        ["10", "11"],
        "/etc/nginx/nginx.conf",
        20_000_000,
    )


@pytest.mark.parametrize(
    ("exe", "argv", "name", "version"),
    [
        ("/usr/sbin/apache2", ["/usr/sbin/apache2", "-k", "start"], "Apache httpd", ""),
        ("/usr/bin/caddy", ["caddy", "run"], "Caddy", ""),
        ("/usr/local/openresty/nginx/sbin/nginx",
         ["nginx: master process /usr/local/openresty/nginx/sbin/nginx"], "OpenResty", ""),
        ("/usr/lib/jvm/x/bin/java",
         ["java", "-Dcatalina.base=/srv/t", "-classpath", "/opt/apache-tomcat-9.0.70/bin/bootstrap.jar",
          "org.apache.catalina.startup.Bootstrap", "start"], "Tomcat", "9.0.70"),
        ("/usr/bin/python3.11", ["python3", "/usr/bin/gunicorn", "-b", "0.0.0.0:80", "app:app"], "Gunicorn", ""),
    ],
)  # fmt: skip
def test_each_is_known_by_its_process(exe, argv, name, version):
    (row,), _ = run(COLLECTOR, Procfs().add(10, exe=exe, argv=argv).host())
    assert (row.name, row.version, row.running) == (name, version, True)


@pytest.mark.parametrize(
    ("exe", "argv"),
    [
        ("/bin/grep", ["grep", "org.apache.catalina.startup.Bootstrap"]),
        ("/usr/bin/python3.11", ["python3", "x.py"]),
        ("/usr/bin/vim", ["vim", "/etc/nginx/nginx.conf"]),
        ("/usr/bin/nginx-exporter", ["x"]),
    ],
)
def test_look_alikes_are_not(exe, argv):
    assert run(COLLECTOR, Procfs().add(10, exe=exe, argv=argv).host()) == ([], [])


def test_files_only_with_package():
    status = "Package: lighttpd\nStatus: install ok installed\nVersion: 1.4.69-1\n\n"
    files = {
        "/usr/sbin/lighttpd": Node("no version", mode=0o755),
        "/var/lib/dpkg/status": status,
        "/etc/lighttpd/lighttpd.conf": 'server.port = 8081\nserver.username = "www-data"\n',
    }
    (row,), problems = run(COLLECTOR, DictHost(files, kind="root"))
    assert problems == []
    assert (row.name, row.version, row.running) == ("lighttpd", "1.4.69", None)
    assert (row.listen, row.user) == (["*:8081"], "www-data")


def test_configuration_left_behind_is_no_server():
    files = {"/etc/nginx/nginx.conf": "x;", "/etc/apache2/apache2.conf": "x"}
    assert run(COLLECTOR, DictHost(files)) == ([], [])


def test_hostile():
    proc = Procfs().add(10, exe="/usr/sbin/nginx", argv=[b"\xff" * 9000, b"-c", b"/etc/n.conf"])
    (row,), _ = run(COLLECTOR, proc.host({"/etc/n.conf": b"\xff\x00" * 90_000}))
    assert row.config == "/etc/n.conf"


@pytest.mark.parametrize("app", APPS, ids=lambda a: a.name)
def test_descriptions_are_sound(app):
    assert app.exes
    re.compile(app.exes)
    assert not app.version or re.compile(app.version).groups >= 1
    assert not app.path_version or re.compile(app.path_version).groups == 1
    meanings = {"config", "data", "port", "address", "user"}
    assert {*app.options.values(), *app.keys.values()} <= meanings
    assert all(k == k.lower() for k in app.keys)


def test_columns_are_inherited():
    assert [c.name for c in columns_of(COLLECTOR.struct)][:3] == ["name", "version", "running"]


def test_live_runs():
    rows, _ = run(COLLECTOR, LiveHost())
    assert all(r.running in (True, False) for r in rows)
