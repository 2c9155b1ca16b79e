import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from hauberk.errors import HostError
from hauberk.host import docker
from hauberk.host.docker import DockerApi

ID = "c0" * 32


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = self.server.answers.get(self.path, (404, b'{"message":"no"}'))
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def engine(tmp_path):
    """Serves given answers on a Unix socket."""
    server = socketserver.ThreadingUnixStreamServer(str(tmp_path / "s.sock"), Handler)
    server.answers = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def answer(path, body, code=200):
        server.answers[path] = (
            code,
            body if isinstance(body, bytes) else json.dumps(body).encode(),
        )

    answer.socket = str(tmp_path / "s.sock")
    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_podman_forms_are_read(engine):
    engine(
        "/containers/json?all=1",
        [
            {
                "Id": ID,
                "Names": None,
                "Image": "localhost/web:1",
                "ImageID": "sha256:ab",
                "Command": ["nginx", "-g", "daemon off;"],
                "Created": "1700000000",
                "Ports": [
                    {"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "127.0.0.1"},
                    {"PrivatePort": 443, "PublicPort": 8443, "Type": "tcp", "IP": "::"},
                    {"PrivatePort": 53, "Type": "udp"},
                ],
                "Labels": None,
                "State": "running",
                "HostConfig": {"NetworkMode": "slirp4netns"},
                "Mounts": ["/data"],
                "Unknown": {"new": "field"},
            }
        ],
    )
    engine(f"/containers/{ID}/json", {"State": {"Pid": 77}, "HostConfig": {"Privileged": True}})
    (found,) = DockerApi(engine.socket, "podman").containers()
    assert (found.name, found.runtime, found.image_id) == (ID[:12], "podman", "ab")
    assert found.command == "nginx -g daemon off;"
    assert found.created_ns == 1700000000 * 10**9
    assert found.ports == ["127.0.0.1:8080->80/tcp", "53/udp", "[::]:8443->443/tcp"]
    assert (found.pid, found.privileged, found.mounts) == (77, True, ["/data"])


def test_a_container_removed_meanwhile_keeps_what_the_list_said(engine):
    engine("/containers/json?all=1", [{"Id": ID, "Names": ["/gone"], "State": "exited"}])
    (found,) = DockerApi(engine.socket).containers()
    assert (found.name, found.pid, found.privileged) == ("gone", 0, None)


def test_an_id_that_is_no_id_is_not_asked_for(engine):
    engine("/containers/json?all=1", [{"Id": "../../images/json", "Names": ["/x"]}])
    engine("/containers/../../images/json/json", {"State": {"Pid": 1}})
    (found,) = DockerApi(engine.socket).containers()
    assert found.pid == 0


def test_images_and_numbers_out_of_range(engine):
    engine(
        "/images/json",
        [
            {
                "Id": "sha256:ff",
                "RepoTags": ["<none>:<none>"],
                "RepoDigests": None,
                "Size": 2**70,
                "Created": -5,
            }
        ],
    )
    (image,) = DockerApi(engine.socket).images()
    assert (image.id, image.tags, image.digests) == ("ff", [], [])
    assert (image.size, image.created_ns) == (2**63 - 1, 0)


def test_registries_of_docker_and_podman(engine):
    engine(
        "/info",
        {
            "Driver": "overlay2",
            "RegistryConfig": {
                "IndexConfigs": {
                    "docker.io": {"Name": "docker.io", "Mirrors": ["https://m/"], "Secure": True},
                    "r:5000": {"Name": "r:5000", "Mirrors": None, "Secure": False},
                },
                "Mirrors": ["https://m/"],
            },
        },
    )
    engine("/v4.0.0/libpod/info", {"registries": {"search": ["quay.io", "docker.io"]}})
    found = DockerApi(engine.socket)
    assert found.registries() == ["docker.io", "https://m/", "r:5000 (insecure)"]
    assert found.storage() == "overlay2"
    assert DockerApi(engine.socket, "podman").registries() == ["docker.io", "quay.io"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b'{"Version": 5}', b"[" * 5000, b'{"Version":"\xff"}']
)
def test_other_services_are_told_apart(engine, body):
    engine("/version", body)
    with pytest.raises(HostError, match="not the Docker API"):
        DockerApi(engine.socket).version()


def test_failures_are_host_errors(engine, tmp_path, monkeypatch):
    engine("/version", {}, 500)
    with pytest.raises(HostError, match="HTTP 500"):
        DockerApi(engine.socket).version()
    with pytest.raises(HostError, match="does not answer"):
        DockerApi(str(tmp_path / "none.sock")).version()
    engine("/version", {"Version": "x" * 1000})
    monkeypatch.setattr(docker, "BODY_LIMIT", 100)
    with pytest.raises(HostError, match="over 100 bytes"):
        DockerApi(engine.socket).version()


def test_a_silent_socket_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(docker, "TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(HostError, match="does not answer"):
            DockerApi(str(tmp_path / "silent.sock")).version()
