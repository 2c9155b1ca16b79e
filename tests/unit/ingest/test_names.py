from __future__ import annotations

from storekit import Kit

from hauberk.ingest.names import Hostnames


def test_names_are_looked_up_once_and_renewed(kit: Kit) -> None:
    peer = kit.peer()
    names = Hostnames(kit.engine)
    assert names.cached("default", peer.workload) == ""
    assert names.of("default", peer.workload) == "web-1"
    assert names.cached("default", peer.workload) == "web-1"
    assert names.of("other", peer.workload) == ""
    names.put("default", peer.workload, "web-2")
    assert names.of("default", peer.workload) == "web-2"
