"""A real TLS gateway on loopback with its own CA, and a clock that tests turn."""

import datetime as dt
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hauberk.link import token
from hauberk.link.client import identity as identities
from hauberk.schema.ids import agent_id
from hauberk.schema.link import EnrolReply, Refusal
from hauberk.signing import raw_public


class FakeClock:
    def __init__(self):
        self.wall, self.mono = 1_790_000_000_000_000_000, 1_000_000_000

    def wall_ns(self):
        return self.wall

    def mono_ns(self):
        return self.mono

    def advance(self, seconds):
        self.wall += int(seconds * 1e9)
        self.mono += int(seconds * 1e9)

    def jump(self, seconds):
        self.wall += int(seconds * 1e9)


@pytest.fixture
def clock():
    return FakeClock()


def _name(common):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


class Authority:
    def __init__(self, common="test CA"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = (
            self._build(common, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM)
        self.sha256 = self.cert.fingerprint(hashes.SHA256())

    def _build(self, common, public, days=30):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name("test CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=days))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def server_pem(self):
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        cert = (
            self._build("gateway", key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def issue(self, csr_pem):
        csr = x509.load_pem_x509_csr(csr_pem)
        assert csr.is_signature_valid
        common = csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        cert = self._build(common, csr.public_key()).add_extension(san, critical=False)
        return cert.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture(scope="session")
def other_authority():
    return Authority("other CA")


class Gateway:
    """Routes are callables (body, peer certificate) -> (status, body)."""

    def __init__(self, authority, folder):
        self.routes, self.calls, self.headers = {}, [], {}
        self.connections, self.asked = 0, {}
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def setup(self):
                gateway.connections += 1
                super().setup()

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                gateway.calls.append((self.command, self.path, body))
                gateway.asked = dict(self.headers)
                route = gateway.routes.get((self.command, self.path))
                peer = self.connection.getpeercert()
                status, answer = route(body, peer) if route else (404, b"nothing here")
                self.send_response(status)
                for name, value in gateway.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_args):
                return None

        pem = folder / "server.pem"
        pem.write_bytes(authority.server_pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            # Clients that refuse the certificate or leave are part of the tests.
            def handle_error(self, *_args):
                return None

            def get_request(self):
                plain, address = super().get_request()
                plain.settimeout(5)
                return context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                ), address

            def finish_request(self, request, address):
                request.do_handshake()
                super().finish_request(request, address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def gateway(authority, tmp_path):
    made = Gateway(authority, tmp_path)
    yield made
    made.close()


def pack(body):
    return msgspec.msgpack.encode(body)


@pytest.fixture
def refuse():
    def make(code, status, message="no", retry_after=0.0):
        body = pack(Refusal(code=code, message=message, retry_after=retry_after))
        return lambda _body, _peer: (status, body)

    return make


@pytest.fixture
def identity(authority, gateway, tmp_path):
    """An enrolled identity whose certificate the test's gateway accepts."""
    key = identities.new_key()
    reply = EnrolReply(
        agent=agent_id(raw_public(key)),
        workload="w1",
        tenant="t1",
        certificate=authority.issue(identities.csr(key)),
        ca=authority.pem,
        task_key=bytes(32),
        task_key_id="k1",
    )
    return identities.save(tmp_path / "identity", gateway.url, key, reply)


@pytest.fixture
def token_for(authority):
    def make(url, ca_sha256=None):
        return token.EnrolToken(url, ca_sha256 or authority.sha256, b"secret").text()

    return make
