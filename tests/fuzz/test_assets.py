"""What a machine's own files can say to the agent, which reads them as root."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.util
import io
import lzma
import ssl
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fuzzkit
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzzkit import Target

from hauberk.assets import (
    _apk,
    _buildinfo,
    _config_apps,
    _config_systemd,
    _dpkg,
    _rpm,
    _rpm_stores,
    _sshkeys,
    _sudoers,
    _utmp,
    _zip,
    access_credential,
    persistence_scheduled_task,
    runtime_library,
    software_java_archive,
    software_unowned_binary,
)
from hauberk.errors import HostError
from hauberk.host.containerd import Containerd
from hauberk.host.docker import DockerApi
from hauberk.host.memory import DictHost, Node
from hauberk.ports import Collector, Notes
from hauberk.registry import discover

DATA = Path(__file__).parents[1] / "unit/assets/data"
SQLITE = lzma.decompress((DATA / "rpmdb.sqlite.xz").read_bytes())
BDB = lzma.decompress((DATA / "Packages.bdb.xz").read_bytes())
BLOBS = list(_rpm_stores.sqlite_blobs(SQLITE))


def drained(parse: Callable[[bytes], Iterable[Any]]) -> Callable[[bytes], None]:
    def call(data: bytes) -> None:
        for _ in parse(data):
            pass

    return call


def texts(parse: Callable[[str], Any]) -> Callable[[bytes], None]:
    """As the agent decodes files."""

    def call(data: bytes) -> None:
        found = parse(data.decode("utf-8", "replace"))
        if hasattr(found, "__next__"):
            for _ in found:
                pass

    return call


def collected(subclass: str, path: str, **more: Any) -> Callable[[bytes], None]:
    """The collector over a machine with this one file."""

    def call(data: bytes) -> None:
        rest = {p: Node(b) for p, b in more.items()}
        host = DictHost({**rest, path: Node(data, mode=0o755)}, kind="image")
        for row in collectors()[subclass].collect(host, Notes()):
            row.key()
            msgspec.json.encode(row)

    return call


@functools.cache
def collectors() -> dict[str, Collector]:
    found = discover("hauberk.assets", "COLLECTOR", Collector)
    return {c.subclass: c for c in found.values()}


def ndb() -> bytes:
    """An ndb file of the blobs, laid out as rpm does."""
    spec = importlib.util.spec_from_file_location(
        "rpm_kit", Path(__file__).parents[1] / "unit/assets/test__rpm.py"
    )
    assert spec
    assert spec.loader
    kit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kit)
    made: bytes = kit.NDB
    return made


def rpm_headers(data: bytes) -> None:
    """A header blob within a small ndb file."""
    for header in (_rpm.Header(data),):
        header.string(_rpm.NAME)
        header.evr()
        header.arch()
        header.files({b"/usr/bin/x": None})


def jar(*, deep: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nImplementation-Title: a\n")
        archive.writestr(
            "META-INF/maven/g/a/pom.properties", "groupId=g\nartifactId=a\nversion=1.0\n"
        )
        archive.writestr("META-INF/maven/g/a/pom.xml", POM)
        archive.writestr("a/B.class", b"\xca\xfe\xba\xbe" + bytes(60))
        if deep:
            archive.writestr("BOOT-INF/lib/b.jar", jar(deep=deep - 1))
    return out.getvalue()


POM = (
    "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>"
    "<parent><groupId>p</groupId></parent></project>"
)


def zipped(data: bytes) -> None:
    stream = io.BytesIO(data)
    found = _zip.directory(stream, len(data), lambda _name: True, max_entries=50)
    for entry in found.entries:
        _zip.read(stream, entry, 1 << 16)


def certificate() -> bytes:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .sign(key, None)
    )
    assert isinstance(made.signature_hash_algorithm, hashes.HashAlgorithm | None)
    return made.public_bytes(serialization.Encoding.PEM)


def certificates(data: bytes) -> None:
    """Where the library only warns of what it will refuse one day, it has not failed."""
    with warnings.catch_warnings(action="ignore"):
        access_credential.load_certificates(data)


def strange(name_tag: int, version: int) -> bytes:
    """A certificate whose alternative name is of another kind, or of another version."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(certificate().decode()))
    at = der.index(b"a.example") - 2
    der[at] = name_tag
    at = der.index(b"\xa0\x03\x02\x01\x02") + 4
    der[at] = version
    return bytes(der)


def ssh_private() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def ssh_public() -> bytes:
    return (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )


class Answers(DockerApi):
    """The Docker API with one answer to everything."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("/run/x.sock")
        self._answer = answer

    def _fetch(self, path: str) -> bytes:
        del path
        return self._answer


RULES = (
    b'{"nftables":[{"chain":{"family":"ip","table":"a","name":"b","hook":"input","policy":"drop"}},'
    b'{"rule":{"family":"ip","table":"a","chain":"b","handle":3,"expr":[{"match":{"op":"==","left":'
    b'{"meta":{"key":"x"}},"right":{"set":[1,{"range":[1,2]}]}}},{"counter":{"packets":1}},'
    b'{"jump":{"target":"c"}},{"drop":null}]}}]}'
)


def nft(data: bytes) -> None:
    host = DictHost({}, kind="live", tools={"nft -j list ruleset": data})
    for row in collectors()["network.firewall"].collect(host, Notes()):
        row.key()


def docker(data: bytes) -> None:
    api = Answers(data)
    failed: HostError | None = None
    for ask in (api.version, api.storage, api.containers, api.images, api.registries):
        try:
            ask()
        except HostError as error:
            failed = error
    if failed is not None:
        raise failed


def containerd(data: bytes) -> None:
    top = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc"
    files = {f"{top}/config.json": data, f"{top}/init.pid": data[:9]}
    runtime = Containerd("/run/containerd/containerd.sock", DictHost(files))
    runtime.containers()
    host = DictHost({"/etc/containerd/config.toml": data})
    second = Containerd("/run/containerd/containerd.sock", host)
    second.storage()
    second.registries()


LISTED = (
    b'[{"Id":"sha256:a","Names":["/a"],"Image":"b","ImageID":"sha256:c","Command":"d",'
    b'"Created":1700000000,"State":"running","Status":"Up","Ports":[{"IP":"0.0.0.0",'
    b'"PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],"Labels":{"a":"b"},"Mounts":'
    b'[{"Source":"/a","Destination":"/b","RW":true,"Type":"bind"}],"HostConfig":'
    b'{"NetworkMode":"host"},"RepoTags":["a:1"],"RepoDigests":[],"Size":5}]'
)
INSPECTED = (
    b'{"Id":"a","State":{"Pid":5,"Status":"running"},"HostConfig":{"Privileged":true},"Config":'
    b'{"User":"0"},"Version":"24","Driver":"overlay2","RegistryConfig":{"IndexConfigs":'
    b'{"docker.io":{"Name":"docker.io","Secure":true,"Mirrors":[]}}}}'
)
OCI = (
    b'{"process":{"args":["sh"],"capabilities":{"effective":["CAP_SYS_ADMIN"]}},"linux":'
    b'{"namespaces":[{"type":"network","path":"/x"}]},"mounts":[{"source":"/a","destination":'
    b'"/b","type":"bind","options":["ro"]}],"annotations":{"io.kubernetes.cri.container-name":"c"}}'
)
STATUS = (
    b"Package: redis\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5:7.0-1\n"
    b"Source: redis (5:7.0-1)\nMaintainer: a <b>\nConffiles:\n /etc/redis.conf 0123456789\n"
    b"Description: x\n more\n .\n\nPackage: a\nStatus: deinstall ok config-files\nVersion: 1\n\n"
)
APK = b"C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n"
UNIT = (
    b"[Unit]\nDescription=x\n[Service]\nExecStart=/a \\\n  -b\nUser=w\nEnvironment=A=%i\n"
    b"[Install]\nWantedBy=m.target\n"
)
CRONTAB = b"SHELL=/bin/sh\n17 * * * * root run %a\n@daily root x\n*/5 1-3,4 * jan mon-fri bob y\n"
SUDOERS = (
    b"Defaults env_reset\nUser_Alias A = bob, %wheel\nroot ALL=(ALL:ALL) ALL\n"
    b"%sudo ALL=(root) NOPASSWD: /bin/ls, !/bin/su \\\n , /x\n@includedir /etc/sudoers.d\n"
)
SSHD = b"Port 22\nPermitRootLogin yes\nMatch User bob\n  PasswordAuthentication no\n"
ELF = (
    b"\x7fELF\x02\x01\x01"
    + bytes(9)
    + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x1000, 64, 0, 0, 64, 56, 1, 64, 0, 0)
)
ELF += struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, 28, 28, 1) + b"/lib64/ld-linux-x86-64.so.2\0"
UTMP = struct.pack(
    "<hi32s4s32s256shhiii4i20x",
    7,
    99,
    b"pts/0",
    b"ts/0",
    b"bob",
    b"h",
    0,
    0,
    1,
    1700000000,
    5,
    0,
    0,
    0,
    0,
)
GO = b"path\texample.com/a\nmod\texample.com/a\tv1.0.0\th1:x=\ndep\tgolang.org/x/net\tv0.1.0\th1:y=\n=>\tgolang.org/x/net\tv0.2.0\th1:z=\n"
MAPS = b"7f00-7f01 r-xp 00000000 08:01 5 /usr/lib/libc.so.6\n7f02-7f03 r--p 0 0:0 6 /x (deleted)\n"
# Its program headers begin behind what a C integer holds.
FAR = ELF[:32] + b"\xff" * 8 + ELF[40:]
GAVE_UP = (HostError,)
TARGETS = [
    Target("dpkg status", drained(_dpkg.parse_status), [STATUS]),
    Target("dpkg diversions", drained(_dpkg.parse_diversions), [b"/a\n/b\nc\n/d\n/e\n:\n"]),
    Target("apk installed", drained(_apk.parse_installed), [APK]),
    Target("rpm sqlite", drained(_rpm_stores.sqlite_blobs), [SQLITE], (_rpm_stores.BadStore,)),
    Target("rpm bdb", drained(_rpm_stores.bdb_blobs), [BDB], (_rpm_stores.BadStore,)),
    Target("rpm ndb", drained(_rpm_stores.ndb_blobs), [ndb()], (_rpm_stores.BadStore,)),
    Target(
        "rpm wal",
        lambda d: _rpm_stores.apply_wal(SQLITE[:8192], d),
        [struct.pack(">8I", 0x377F0682, 3007000, 4096, 0, 1, 2, 0, 0) + bytes(4120)],
        (_rpm_stores.BadStore,),
    ),
    Target("rpm header", rpm_headers, BLOBS, (_rpm_stores.BadStore, ValueError)),
    Target("zip", zipped, [jar()], (_zip.BadZip,)),
    Target("jar", collected("software.java_archive", "/opt/a/a.jar"), [jar(deep=2)]),
    Target("pom", software_java_archive.parse_pom, [POM.encode()]),
    Target(
        "manifest", software_java_archive.parse_manifest, [b"A: b\n c\nImplementation-Title: x\n"]
    ),
    Target("go build info", _buildinfo.parse_go, [GO]),
    Target("rust build info", _buildinfo.parse_rust, [b'{"packages":[{"name":"a","version":"1","source":"crates.io"}]}']),
    Target("executable", lambda d: _buildinfo.modules(io.BytesIO(d)), [ELF + bytes(500)], (ValueError,)),
    Target("executable head", lambda d: software_unowned_binary.classify("/a", d), [ELF, b"#!/bin/sh\n"], known=[FAR]),
    Target("maps", runtime_library.parse_maps, [MAPS]),
    Target("utmp", drained(lambda d: _utmp.parse_records(d, "x86_64")), [UTMP * 3]),
    Target("ssh public key", texts(_sshkeys.parse_public), [ssh_public() + b" bob@h\n", b'command="x",no-pty ' + ssh_public()]),
    Target("ssh key blob", _sshkeys.public_of_blob, [b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32), b"\0\0\0\x07ssh-rsa\0\0\0\x03\1\0\1\0\0\0\x81" + bytes(129)]),
    Target("ssh private key", _sshkeys.parse_private, [ssh_private()]),
    Target("certificates", certificates, [certificate() * 2], (ValueError,), known=[strange(0xA3, 2), strange(0x85, 2), strange(0x82, 5)]),
    Target("credentials", collected("access.credential", "/root/.ssh/id_ed25519", **{"/etc/passwd": b"root:x:0:0::/root:/bin/sh\n"}), [ssh_private(), certificate()], GAVE_UP),
    Target("sudoers", collected("access.privilege", "/etc/sudoers", **{"/etc/passwd": b"bob:x:1:1::/home/bob:/bin/sh\n"}), [SUDOERS], GAVE_UP),
    Target("sudoers lines", texts(lambda t: [list(_sudoers.parse_entry(x, "a", 1)) for _, x in _sudoers.logical_lines(t)]), [SUDOERS]),
    Target("systemd unit", texts(_config_systemd.parse_unit), [UNIT]),
    Target("services", collected("persistence.service", "/etc/systemd/system/a.service"), [UNIT], GAVE_UP),
    Target("crontab", texts(lambda t: persistence_scheduled_task.parse_crontab(t, with_user=True)), [CRONTAB]),
    Target("at job", texts(persistence_scheduled_task.at_command), [b"#!/bin/sh\n# atrun uid=0\ncd /\ncurl x\n"]),
    Target("passwd", collected("access.user", "/etc/passwd"), [b"root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/sh\n"], GAVE_UP),
    Target("shadow", collected("access.user", "/etc/shadow", **{"/etc/passwd": b"root:x:0:0::/root:/bin/sh\n"}), [b"root:$6$a$b:19000:0:99999:7:::\n"], GAVE_UP),
    Target("group", collected("access.group", "/etc/group"), [b"root:x:0:\nsudo:x:27:bob,eve\n"], GAVE_UP),
    Target("sshd", collected("access.privilege", "/etc/ssh/sshd_config"), [SSHD], GAVE_UP),
    Target("application settings", texts(_config_apps.settings), [b"[a]\nport = 5\nbind: x\n# c\n"]),
    Target("npm", collected("software.language_package", "/usr/lib/node_modules/a/package.json"), [b'{"name":"a","version":"1.0.0","dependencies":{"b":"^1"},"license":{"type":"MIT"}}'], GAVE_UP),
    Target("os release", collected("os.release", "/etc/os-release"), [b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME=\'Debian\'\n'], GAVE_UP),
    Target("nft", nft, [RULES], GAVE_UP),
    Target("resolver", collected("network.resolver", "/etc/resolv.conf"), [b"nameserver 192.0.2.1\nsearch a b\noptions ndots:5\n"], GAVE_UP),
    Target("scheduled tasks", collected("persistence.scheduled_task", "/etc/crontab"), [CRONTAB], GAVE_UP),
    Target("os packages", collected("software.os_package", "/var/lib/dpkg/status"), [STATUS], GAVE_UP),
    Target("docker", docker, [LISTED, INSPECTED], GAVE_UP, clean=False),
    Target("containerd", containerd, [OCI, b'[plugins."a".containerd]\nsnapshotter="x"\n'], GAVE_UP, clean=False),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_only_documented_errors(target: Target) -> None:
    fuzzkit.run(target)


def test_the_driver_finds_what_is_wrong() -> None:
    """Errors, endless loops and memory are noticed, or the rest of this folder proves nothing."""

    def wrong(data: bytes) -> None:
        if b"\xff" in data:
            raise KeyError

    with pytest.raises(AssertionError, match="KeyError"):
        fuzzkit.run(Target("wrong", wrong, [b"abc"]))

    def endless(_data: bytes) -> None:
        while True:
            pass

    before = fuzzkit.CPU_S
    fuzzkit.CPU_S = 0.1
    try:
        with pytest.raises(AssertionError, match="Hung"):
            fuzzkit.once(Target("endless", endless, [b""]), b"")
    finally:
        fuzzkit.CPU_S = before
    kept: list[bytes] = []
    with pytest.raises(AssertionError, match="MiB more"):
        fuzzkit.run(Target("greedy", lambda _d: kept.append(b"x" * 60_000_000), [b"abc"]))
