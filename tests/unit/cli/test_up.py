import socket

import pytest

from hauberk.cli import up


def test_a_taken_port_is_named_with_another_to_try(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("up", "--listen", f"127.0.0.1:{port}")
    assert done.code == 3
    assert f"127.0.0.1:{port} cannot be used" in done.err
    assert f"--listen 127.0.0.1:{port + 10}" in done.err


@pytest.mark.parametrize("address", ["8443", "localhost", "127.0.0.1:"])
def test_an_address_without_port_is_refused(run, address):
    done = run("up", "--listen", address)
    assert done.code == 3
    assert "ADDRESS:PORT" in done.err


def test_the_server_has_a_user_of_its_own():
    assert up.USER == "hauberk"
