import pytest
from procfs import CONTAINER, Procfs

from hauberk.assets import _config_apps
from hauberk.assets._config_apps import App, discover, options_of, settings, words_of
from hauberk.host.memory import DictHost, Node
from hauberk.ports import Notes

APP = App(
    name="Thing",
    exes=r"thingd",
    files=("/usr/bin/thingd", "/opt/*/thingd"),
    version=rb"thing/(\d+\.\d+)",
    packages=("thing-server", "thing"),
    configs=("/etc/thing.conf", "/etc/thing.d/*.conf"),
    options={"-c": "config", "--port": "port", "-u": "user"},
    keys={"port": "port", "bind": "address", "dir": "data"},
    sections=("main",),
    port="99",
    data_dir="/var/lib/thing",
)
CONF = "port = 1\n[main]\nport = 4242\nbind 127.0.0.1 ::1 ; c\ndir: '/data'\n[other]\nport=7\n"


def columns(host, apps=(APP,)):
    return list(_config_apps.rows(host, Notes(), apps))


def test_running_with_workers_and_configuration():
    host = (
        Procfs()
        .add(10, b"thingd", exe="/usr/bin/thingd", argv=["/usr/bin/thingd"], start=3, uid=(33, 33))
        .add(11, b"thingd", exe="/usr/bin/thingd", argv=["worker"], ppid=10, start=4)
        .add(12, b"thingd", exe="/usr/bin/thingd", argv=["worker"], ppid=11, start=5)
        .host(
            {
                "/etc/passwd": "www:x:33:33::/:/x\n",
                "/etc/thing.conf": CONF,
                "/usr/bin/thingd": Node("", mode=0o755),
                "/var/lib/dpkg/status": "Package: thing\nStatus: install ok installed\nVersion: 1:2.5-3\n\n",
            },
            links={},
        )
    )
    (row,) = columns(host)
    assert row == {
        "name": "Thing", "version": "2.5", "running": True, "pid": 10, "start_ns": 30_000_000,
        "pids": ["10", "11", "12"], "user": "www", "listen": ["127.0.0.1:4242", "[::1]:4242"],
        "exe": "/usr/bin/thingd", "config": "/etc/thing.conf", "data_dir": "/data",
        "package": "thing 1:2.5-3", "container": "",
        "evidence": ["process 10 thingd", "configuration /etc/thing.conf", "package thing 1:2.5-3"],
    }  # fmt: skip


def test_two_instances_by_their_configuration():
    proc = Procfs()
    for pid, port in ((10, "1"), (20, "2")):
        proc.add(
            pid,
            exe="/usr/bin/thingd",
            argv=["/usr/bin/thingd", "-c", f"/etc/{port}.conf"],
            start=pid,
        )
    host = proc.host({"/etc/1.conf": "[main]\nport=11\n", "/etc/2.conf": "[main]\nport=22\n"})
    assert [(r["config"], r["listen"], r["pid"]) for r in columns(host)] == [
        ("/etc/1.conf", ["*:11"], 10),
        ("/etc/2.conf", ["*:22"], 20),
    ]


def test_files_only():
    files = {"/opt/x/thingd": Node(b"..thing/3.1..", mode=0o755)}
    (row,) = columns(DictHost(files, kind="root"))
    assert (row["running"], row["version"], row["listen"]) == (None, "3.1", ["*:99"])
    assert (row["config"], row["data_dir"]) == ("", "/var/lib/thing")
    (row,) = columns(DictHost({**files, "/proc/": ""}, kind="live"))
    assert row["running"] is False


def test_installed_copy_of_a_running_one_is_not_listed_again():
    host = Procfs().add(10, exe="/usr/bin/thingd1", argv=["x"]).host(
        {"/usr/bin/thingd1": Node("", mode=0o755)}, links={"/usr/bin/thingd": "thingd1"}
    )  # fmt: skip
    app = App(name="Thing", exes=r"thingd\d", files=("/usr/bin/thingd",))
    assert [r["pid"] for r in columns(host, (app,))] == [10]


def test_container_reads_its_own_files():
    host = (
        Procfs()
        .add(10, exe="/usr/bin/thingd", argv=["thingd"], cgroup=f"0::/docker/{CONTAINER}\n")
        .host(
            {"/ctr/etc/thing.conf": "[main]\nport=5\n", "/etc/thing.conf": "[main]\nport=6\n",
             "/var/lib/dpkg/status": "Package: thing\nStatus: install ok installed\nVersion: 9\n"},
            links={"/proc/10/root": "/ctr"},
        )
    )  # fmt: skip
    (row,) = columns(host)
    assert (row["container"], row["config"], row["listen"]) == (
        CONTAINER,
        "/etc/thing.conf",
        ["*:5"],
    )
    assert row["package"] == ""


def test_loop_of_parents_ends():
    proc = Procfs()
    for pid, parent in ((4, 6), (5, 6), (6, 5), (7, 4)):
        proc.add(pid, exe="/usr/bin/thingd", argv=["x"], ppid=parent)
    rows = columns(proc.host())
    assert sorted(p for r in rows for p in r["pids"]) == ["4", "5", "6", "7"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/a", "-x"], ["/a", "-x"]),
        (
            ["nginx: master process /usr/sbin/nginx -c /x", "", ""],
            ["nginx:", "master", "process", "/usr/sbin/nginx", "-c", "/x"],
        ),
        (["redis 127.0.0.1:1"], ["redis", "127.0.0.1:1"]),
        ([], []),
    ],
)
def test_words_of(argv, words):
    assert words_of(argv) == words


def test_options_of():
    wanted = {"-c": "config", "--port": "port", "-D": "data"}
    assert options_of(["x", "-c", "/a", "--port=5", "-D/d", "-z", "q"], wanted) == {
        "config": "/a",
        "port": "5",
        "data": "/d",
    }
    assert options_of(["-c"], wanted) == {}
    assert options_of(["--port"], wanted) == {}


def test_settings():
    text = "A = 'x'\nb: y # c\nc z;\n-l 127.0.0.1\n  net.port: 5\nnovalue\n= x\n"
    assert settings(text) == {"a": "x", "b": "y", "c": "z", "-l": "127.0.0.1", "net.port": "5"}
    assert settings(CONF, ("main",)) == {"port": "4242", "bind": "127.0.0.1 ::1", "dir": "/data"}


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, "a" * 100_000, "= " * 90_000, "\U0010ffff=\n" * 1000, "a\t" + " " * 90_000],
)
def test_hostile_settings(text):
    assert len(settings(text)) <= 1


def test_hostile_arguments():
    argv = [b"\xff" * 1000, b"-c", b"relative", b"-u", b"=" * 5000]
    host = Procfs().add(10, exe="/usr/bin/thingd", argv=argv).host()
    (found,) = discover(host, Notes(), (APP,))
    assert found.config == ""
    assert found.pid == 10
