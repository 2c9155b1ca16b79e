"""The sensor on the running kernel: the same behaviour seen by eBPF (tier B) and, as far as it can,
by the proc connector and polling (tier D)."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hauberk.assets import runtime_process
from hauberk.errors import Unsupported
from hauberk.host.live import LiveHost
from hauberk.ports import Notes
from hauberk.schema.event import (
    LAUNCH,
    TERMINATE,
    BlindTime,
    NetworkActivity,
    ProcessActivity,
    process_key,
)
from hauberk.schema.text import from_bytes
from hauberk.sensor import SensorSettings, native, open_sensor

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
PATIENCE_S = 20.0


class SystemClock:
    def wall_ns(self):
        return time.time_ns()

    def mono_ns(self):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Watch:
    """A running sensor and what it has given."""

    def __init__(self, **settings):
        self.rows = []
        self.sensor = open_sensor(
            lambda _, rows: self.rows.extend(rows),
            clock=SystemClock(),
            settings=SensorSettings(**settings),
        )

    def of(self, kind, **fields):
        return [
            row
            for row in self.rows
            if isinstance(row, kind) and all(getattr(row, k) == v for k, v in fields.items())
        ]

    def until(self, found: Callable[[], object]):
        """Poll until `found` gives something; that, or a failure when patience ends."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.sensor.poll(0.05)
            if got := found():
                return got
        pytest.fail(f"not seen in {PATIENCE_S} s; {len(self.rows)} rows, {self.sensor.health()}")

    def launch(self, pid):
        return self.until(lambda: self.of(ProcessActivity, activity_id=LAUNCH, pid=pid))[-1]

    def end(self, pid):
        return self.until(lambda: self.of(ProcessActivity, activity_id=TERMINATE, pid=pid))[-1]

    def close(self):
        self.sensor.close()


@pytest.fixture
def bpf():
    """Tier A or B with the real programs."""
    try:
        native.NativeReader.open("sensor").close()
    except Unsupported as error:
        pytest.skip(f"no eBPF here: {error}")
    watch = Watch()
    yield watch
    watch.close()


@pytest.fixture
def hidden(monkeypatch):
    """Tier D because the native module cannot be imported."""
    monkeypatch.setitem(sys.modules, "hauberk.sensor._native._hb", None)
    watch = Watch(sockets_every_s=0.1)
    yield watch
    watch.close()


@pytest.fixture(params=["bpf", "hidden"])
def watch(request):
    return request.getfixturevalue(request.param)


both_tiers = pytest.mark.bpf


@both_tiers
def test_tier_and_sources_are_what_runs(bpf):
    health = bpf.sensor.health()
    assert health.tier in ("A", "B")
    assert health.sources == [
        "bpf:tp_btf/sched_process_exec",
        "bpf:tp_btf/sched_process_exit",
        "bpf:tp_btf/inet_sock_set_state",
    ]
    assert (health.tier == "A") == (health.reasons == [])


def test_hidden_native_module_gives_tier_d_with_the_reason(hidden):
    health = hidden.sensor.health()
    assert health.tier == "D"
    assert health.sources == ["proc-connector", "poll:/proc/net/tcp"]
    assert "native reader not usable" in health.reasons[0]


@both_tiers
def test_exec_with_parent_and_user(watch):
    process = subprocess.Popen(["/bin/sleep", "0.3"], user=65534, group=65534, extra_groups=[])
    launch = watch.launch(process.pid)
    process.wait()
    end = watch.end(process.pid)
    assert launch.argv == ["/bin/sleep", "0.3"]
    assert not launch.argv_truncated
    assert Path(launch.exe).samefile("/bin/sleep")
    assert (launch.ppid, launch.uid, launch.gid, launch.name) == (
        os.getpid(), 65534, 65534, "sleep",
    )  # fmt: skip
    assert launch.parent_name == Path("/proc/self/comm").read_text().strip()
    assert (end.exit_code, end.exit_signal, end.exe) == (0, None, launch.exe)
    assert end.duration_ns >= 300_000_000
    assert end.start_ns == launch.start_ns
    assert abs(launch.time_ns - time.time_ns()) < 60 * 10**9


@both_tiers
def test_a_process_is_found_in_the_inventory_by_one_rule(watch):
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        launch = watch.launch(process.pid)
        keys = {row.pid: row.key() for row in runtime_process.collect(LiveHost(), Notes())}
        process.kill()
    end = watch.end(process.pid)
    assert keys[process.pid] == process_key(process.pid, launch.start_ns)
    assert keys[process.pid] == process_key(process.pid, end.start_ns)


@both_tiers
def test_exit_code_and_signal(watch):
    with subprocess.Popen(["/bin/sh", "-c", "sleep 0.2; exit 7"]) as coded:
        pass
    with subprocess.Popen(["/bin/sleep", "60"]) as killed:
        watch.launch(killed.pid)
        killed.send_signal(signal.SIGKILL)
    assert (watch.end(coded.pid).exit_code, watch.end(coded.pid).exit_signal) == (7, None)
    end = watch.end(killed.pid)
    assert (end.exit_code, end.exit_signal) == (None, signal.SIGKILL)


@both_tiers
def test_hundred_kilobytes_of_odd_bytes_arrive_exactly(watch):
    arguments = [b"sleep", b"1", *(bytes([i or 1, 0xFF, 0xC3, 0x28]) * 400 for i in range(64))]
    assert sum(map(len, arguments)) > 100_000
    argv = [b"/bin/sh", b"-c", b"sleep 1", *arguments]
    with subprocess.Popen(argv) as process:
        launch = watch.launch(process.pid)
    assert launch.argv == [from_bytes(a) for a in argv]
    assert not launch.argv_truncated


@both_tiers
def test_two_mebibytes_of_short_lived_arguments(bpf):
    """More than any fixed buffer holds, of a process that is gone at once."""
    argument = b"a" * 100_000
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < 8 * 1024 * 1024:
        pytest.skip("the stack limit allows no 1.9 MiB of arguments")
    argv = [b"/bin/true", *([argument] * 19)]
    process = subprocess.Popen(argv, env={})
    process.wait()
    launch = bpf.launch(process.pid)
    assert [len(a) for a in launch.argv] == [9, *([100_000] * 19)]
    assert not launch.argv_truncated


@both_tiers
def test_short_lived_processes_are_all_seen_with_their_arguments(bpf):
    for number in range(200):
        subprocess.run(["/bin/true", f"short-{number}"], check=True)

    def numbers():
        rows = bpf.of(ProcessActivity, activity_id=LAUNCH, ppid=os.getpid())
        seen = {r.argv[1] for r in rows if len(r.argv) == 2 and r.argv[1].startswith("short-")}
        return seen if len(seen) == 200 else None

    assert bpf.until(numbers) == {f"short-{n}" for n in range(200)}
    assert bpf.sensor.health().lost == 0


@both_tiers
def test_threads_are_not_processes_and_the_last_one_ends_it(bpf):
    script = (
        "import threading, time, os\n"
        "ts = [threading.Thread(target=time.sleep, args=(0.05,)) for _ in range(8)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]; os._exit(5)"
    )
    process = subprocess.run([sys.executable, "-c", script], check=False)
    rows = bpf.until(
        lambda: [
            r for r in bpf.of(ProcessActivity, activity_id=TERMINATE, ppid=os.getpid())
            if r.argv[-1:] == [script]
        ]
    )  # fmt: skip
    bpf.sensor.poll(0.2)
    assert process.returncode == 5
    assert [(r.exit_code, r.exit_signal) for r in rows] == [(5, None)]


@both_tiers
def test_script_relative_path_and_memory_file(bpf, tmp_path):
    script = tmp_path / "run me.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    shutil.copy("/bin/true", tmp_path / "tool")
    one = subprocess.Popen(["./run me.sh", "x"], cwd=tmp_path)
    one.wait()
    launch = bpf.launch(one.pid)
    assert launch.argv == ["/bin/sh", "./run me.sh", "x"]
    assert Path(launch.exe).samefile("/bin/sh")
    two = subprocess.Popen(["./tool"], cwd=tmp_path)
    two.wait()
    assert bpf.launch(two.pid).exe == str(tmp_path / "tool")

    memory = os.memfd_create("payload", 0)
    os.write(memory, Path("/bin/true").read_bytes())
    three = subprocess.Popen(["innocent"], executable=f"/proc/self/fd/{memory}", pass_fds=[memory])
    three.wait()
    os.close(memory)
    assert bpf.launch(three.pid).exe == "/memfd:payload"


@both_tiers
def test_self_and_its_descendants_are_labelled(watch):
    root = subprocess.Popen(["/bin/sh", "-c", "read go; sh -c 'sleep 0.3 & wait'; sleep 0.3"],
                            stdin=subprocess.PIPE)  # fmt: skip
    watch.launch(root.pid)
    watch.sensor.set_self_roots([root.pid])
    other = subprocess.Popen(["/bin/sleep", "0.4"])
    root.stdin.write(b"\n")
    root.stdin.close()
    watch.until(lambda: root.poll() is not None and other.poll() is not None)
    assert watch.end(root.pid).is_self
    sleeps = [r for r in watch.of(ProcessActivity, name="sleep") if r.pid != other.pid]
    assert len({r.pid for r in sleeps}) == 2
    assert all(r.is_self for r in sleeps)
    assert not watch.launch(other.pid).is_self


@pytest.fixture
def cgroup():
    """A cgroup of our own that looks like a container's, with its id."""
    root = next(
        (Path(r) for r in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
         if Path(r, "cgroup.controllers").exists()), None,
    )  # fmt: skip
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("no writable unified cgroup hierarchy")
    folder = root / f"hauberk-sensor-{os.getpid()}" / f"docker-{os.urandom(32).hex()}.scope"
    folder.mkdir(parents=True)
    yield folder
    folder.rmdir()
    folder.parent.rmdir()


@both_tiers
def test_container_of_a_process(watch, cgroup):
    def run():
        script = f"echo $$ > {cgroup}/cgroup.procs && exec sleep 0.5"
        process = subprocess.Popen(["/bin/sh", "-c", script])
        rows = watch.until(lambda: watch.of(ProcessActivity, pid=process.pid, name="sleep"))
        watch.until(lambda: process.poll() is not None)
        return rows[0]

    launch = run()
    assert launch.cgroup_id == cgroup.stat().st_ino
    assert launch.container == cgroup.name.removeprefix("docker-").removesuffix(".scope")
    watch.sensor.set_containers({launch.cgroup_id: "web-1"})
    assert run().container == "web-1"


SERVE = """
import socket, sys
s = socket.socket(getattr(socket, sys.argv[1])); s.bind((sys.argv[2], 0)); s.listen()
print(s.getsockname()[1], flush=True)
c, _ = s.accept(); c.recv(1); c.close()
"""
CONNECT = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); time.sleep(1); s.sendall(b"x")
s.recv(1)
"""


def converse(watch, family, address, enter=()):
    server = subprocess.Popen(
        [*enter, sys.executable, "-c", SERVE, family, address], stdout=subprocess.PIPE, text=True
    )
    port = int(server.stdout.readline())
    listen = watch.until(lambda: watch.of(NetworkActivity, direction="listen", src_port=port))[-1]
    client = subprocess.Popen([*enter, sys.executable, "-c", CONNECT, address, str(port)])
    connect = watch.until(lambda: watch.of(NetworkActivity, direction="outbound", dst_port=port))[
        -1
    ]
    accept = watch.until(lambda: watch.of(NetworkActivity, direction="inbound", src_port=port))[-1]
    client.wait()
    server.wait()
    server.stdout.close()
    return server.pid, client.pid, listen, connect, accept


@both_tiers
@pytest.mark.parametrize(("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_listen_connect_and_accept_have_their_owners(watch, family, address):
    if family == "AF_INET6" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    server, client, listen, connect, accept = converse(watch, family, address)
    assert (listen.pid, listen.src_ip, listen.dst_ip) == (server, address, "")
    assert (connect.pid, connect.dst_ip, connect.protocol) == (client, address, "tcp")
    assert (accept.pid, accept.src_ip, accept.dst_ip) == (server, address, address)
    assert accept.dst_port == connect.src_port != 0
    assert Path(accept.exe).samefile(sys.executable)
    assert Path(connect.exe).samefile(sys.executable)
    assert accept.netns == os.stat("/proc/self/ns/net").st_ino


@pytest.fixture
def namespace():
    """A network namespace held by a process of our own, with loopback up."""
    if not shutil.which("unshare") or not shutil.which("nsenter") or not shutil.which("ip"):
        pytest.skip("needs unshare, nsenter and ip")
    holder = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    try:
        end = time.monotonic() + PATIENCE_S
        own = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == own and time.monotonic() < end:
            time.sleep(0.02)
        enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        yield enter, os.stat(f"/proc/{holder.pid}/ns/net").st_ino
    finally:
        holder.kill()
        holder.wait()


@both_tiers
def test_owners_in_another_network_namespace(watch, namespace):
    enter, netns = namespace
    server, client, listen, connect, accept = converse(watch, "AF_INET", "127.0.0.1", enter)
    assert {e.netns for e in (listen, connect, accept)} == {netns}
    assert (listen.pid, connect.pid, accept.pid) == (server, client, server)


@both_tiers
def test_a_listener_older_than_the_sensor_owns_what_it_accepts(bpf):
    bpf.close()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    watch = Watch()
    try:
        client = socket.create_connection(("127.0.0.1", port))
        accept = watch.until(lambda: watch.of(NetworkActivity, direction="inbound", src_port=port))
        assert [(a.pid, a.owner) for a in accept] == [(os.getpid(), "listener")]
        client.close()
    finally:
        watch.close()
        listener.close()


@both_tiers
def test_losses_are_counted_and_told(bpf):
    bpf.close()
    watch = Watch(ring_bytes=4096, lost_check_s=0.0)
    try:
        for number in range(300):
            subprocess.run(["/bin/true", str(number)], check=True)
        blind = watch.until(lambda: watch.of(BlindTime))[0]
        assert (blind.activity_id, blind.reason) == (1, "buffer full")
        assert blind.time_ns <= blind.until_ns
        assert "bpf:" in blind.source
        seen = len(watch.of(ProcessActivity, ppid=os.getpid()))
        lost = watch.sensor.health().lost
        assert lost == sum(b.lost for b in watch.of(BlindTime))
        assert seen < 600 <= seen + lost
    finally:
        watch.close()


def test_losses_of_the_proc_connector_are_counted(hidden):
    source = hidden.sensor._slots[0].source
    source._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for number in range(300):
        subprocess.run(["/bin/true", str(number)], check=True)
    hidden.sensor.poll(0.05)
    subprocess.run(["/bin/true"], check=True)
    end = time.monotonic() + PATIENCE_S
    while not hidden.of(BlindTime) and time.monotonic() < end:
        subprocess.run(["/bin/true"], check=True)
        hidden.sensor.poll(0.2)
    assert hidden.sensor.health().lost > 0
    assert hidden.of(BlindTime)[0].activity_id == 1


@both_tiers
def test_the_reader_sleeps_until_enough_is_pending(bpf):
    bpf.close()
    for wake_bytes, woken in ((1, True), (4 * 1024 * 1024, False)):
        watch = Watch(wake_bytes=wake_bytes)
        try:
            reader = watch.sensor._slots[0].source._reader
            reader.drain(1)
            subprocess.run(["/bin/true"], check=True)
            assert reader.wait(0.3 if not woken else PATIENCE_S) is woken
            assert reader.drain(1)[0]
        finally:
            watch.close()


@both_tiers
def test_nothing_stays_in_the_kernel_after_close(bpf):
    def loaded():
        names = set()
        for path in Path("/proc/self/fdinfo").iterdir():
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue  # the descriptor of the listing itself
            if "prog_id" in text or "map_type" in text or "link_type" in text:
                names.add(path.name)
        return names

    assert loaded()
    bpf.close()
    assert not loaded()


@both_tiers
def test_a_ring_that_dies_is_told_and_opened_again(bpf, caplog):
    reader = bpf.sensor._slots[0].source._reader
    reader.drain = lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "torn"))
    down = bpf.until(lambda: bpf.of(BlindTime, activity_id=3))[0]
    assert "torn" in down.reason
    bpf.until(lambda: [b for b in bpf.of(BlindTime, activity_id=3) if b.until_ns])
    process = subprocess.Popen(["/bin/true", "after"])
    process.wait()
    assert bpf.launch(process.pid).argv == ["/bin/true", "after"]
    assert bpf.sensor.health().tier in ("A", "B")
    assert "torn" in caplog.text
