"""A real S3-compatible store (SeaweedFS) on loopback that tests start, pause and kill."""

from __future__ import annotations

import atexit
import functools
import ipaddress
import json
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import obstore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hauberk.store.objects import Target

KEY, SECRET, BUCKET = "hauberk-test", "not-a-secret-0123456789", "hauberk"
_START_S = 60


class S3:
    """One server with one bucket. `target(prefix)` is a place in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "identities.json"
        self.config.write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "hauberk",
                            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                        }
                    ]
                }
            )
        )
        self._ports = _free_ports(8)
        self.endpoint = f"http://127.0.0.1:{self._ports[6]}"
        self.start()

    def target(self, prefix: str = "", endpoint: str = "") -> Target:
        return Target(BUCKET, prefix, endpoint=endpoint or self.endpoint, key_id=KEY, secret=SECRET)

    def start(self) -> None:
        """Start, or start again over the same files; ready when an object can be written."""
        master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = self._ports
        weed = Path(sys.executable).with_name("weed")
        command = [
            *("setpriv", "--pdeathsig", "KILL"),  # tests that are killed leave no server
            str(weed if weed.exists() else shutil.which("weed")),
            "server",
            f"-dir={self.folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-master.port.grpc={master_rpc}",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_rpc}",
            "-volume.max=30",
            "-filer",
            f"-filer.port={filer}",
            f"-filer.port.grpc={filer_rpc}",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.port.grpc={s3_rpc}",
            f"-s3.config={self.config}",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._ready()
        except BaseException:
            self.kill()
            raise

    def _ready(self) -> None:
        deadline = time.monotonic() + _START_S
        store = self.target().open()
        bucket = obstore.sign(store, "PUT", "", timedelta(seconds=_START_S))
        while True:
            try:
                assert httpx.put(bucket, timeout=10).status_code in (200, 409)
                obstore.put(store, "ready", b"1")
            except (httpx.HTTPError, AssertionError, obstore.exceptions.BaseError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    told = (self.folder / "log").read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"weed did not start: {told}") from None
                time.sleep(0.1)
            else:
                return

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Connections are taken and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self.process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(folder: Path) -> Iterator[S3]:
    """A server for as long as the block lasts; its files are removed."""
    store = S3(folder)
    try:
        yield store
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared() -> S3:
    """One server for all tests of this process; it ends with it."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(served(Path(tempfile.mkdtemp(prefix="hauberk-s3-"))))


@contextmanager
def failing(status: int) -> Iterator[str]:
    """The address of a store that answers every request with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b"<Error><Code>SlowDown</Code></Error>"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def encrypted(store: S3, folder: Path) -> Iterator[tuple[str, Path]]:
    """The store behind TLS: its address, and the file of an authority that only this one has."""
    ca, chain, key = _certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    plain = ("127.0.0.1", int(store.endpoint.rpartition(":")[2]))

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                outer = context.wrap_socket(self.request, server_side=True)
            except OSError:
                return  # who does not know the authority hangs up
            with outer, socket.create_connection(plain) as inner:
                back = threading.Thread(target=_pump, args=(inner, outer))
                back.start()
                _pump(outer, inner)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Front) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}", ca
        finally:
            server.shutdown()
            thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side is gone


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    now = datetime.now(UTC)
    names = {n: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("ca", "s3")}
    keys = {n: ec.generate_private_key(ec.SECP256R1()) for n in names}

    def signed(name: str, *extensions: x509.ExtensionType) -> bytes:
        made = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    files = folder / "ca.pem", folder / "s3.pem", folder / "s3.key"
    files[0].write_bytes(signed("ca", x509.BasicConstraints(ca=True, path_length=None)))
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    files[1].write_bytes(signed("s3", x509.SubjectAlternativeName([address]), server))
    files[2].write_bytes(
        keys["s3"].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
