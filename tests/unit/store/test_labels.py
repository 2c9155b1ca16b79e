from __future__ import annotations

import pytest

from hauberk.errors import BadWire
from hauberk.store.dialect import MAX_KEY, index_key
from hauberk.store.labels import kind_of, kinds


def test_every_collector_is_known_with_a_key() -> None:
    assert "software.os_package" in kinds()
    assert all(kind.struct.KEY for kind in kinds().values())


def test_key_equals_the_structs_own() -> None:
    kind = kind_of("software.os_package")
    row = {"manager": "dpkg", "name": "zlib", "arch": "amd64", "version": "1"}
    assert kind.key(row) == kind.struct(**row).key()
    with pytest.raises(BadWire, match="name"):
        kind.key({"manager": "dpkg", "arch": "amd64"})


def test_labels_are_names_else_keys() -> None:
    kind = kind_of("software.os_package")
    assert kind.label({"name": "zlib"}, "k") == "zlib"
    assert kind.label({"name": ""}, "dpkg\x1fzlib") == "dpkg zlib"
    assert len(kind.label({"name": "x" * 999}, "")) == 200


def test_sockets_are_named_by_process_and_ends() -> None:
    listening = {"protocol": "tcp", "address": "::", "port": 80, "name": "nginx"}
    assert kind_of("network.listening_port").label(listening, "") == "nginx tcp :::80"
    connection = {"protocol": "tcp", "local_ip": "10.0.0.1", "local_port": 5, "name": ""}
    connection |= {"remote_ip": "10.0.0.2", "remote_port": 443}
    label = kind_of("network.connection").label(connection, "")
    assert label == "tcp 10.0.0.1:5 > 10.0.0.2:443"


def test_difference_names_changed_fields_only() -> None:
    kind = kind_of("software.os_package")
    assert kind.difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == (
        {"b": 2, "c": None},
        {"b": 3, "c": 4},
    )


def test_unknown_subclass_is_said() -> None:
    with pytest.raises(BadWire, match="upgrade the server"):
        kind_of("no.such")


def test_keys_fit_every_index() -> None:
    kind = kind_of("software.os_package")
    row = {"manager": "dpkg", "arch": "amd64", "name": "é" * 2000}
    key, other = kind.key(row), kind.key(row | {"name": "é" * 2000 + "x"})
    assert len(key.encode()) <= MAX_KEY
    assert key != other
    assert key.startswith("dpkg\x1fé")
    assert index_key(key) == key
