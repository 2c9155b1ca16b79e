import grp

from hauberk.assets import access_group as module
from hauberk.host.memory import DictHost

FILES = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    "/etc/group": "root:x:0:\nsudo:x:27:ann,ghost,ann\nann:x:1000:\n",
    "/etc/gshadow": "root:*::\nsudo:$6$SECRET$HASH:ann:ann\nann:!::\n",
}


def test_groups(rows):
    found = {r.name: r for r in rows(module, DictHost(FILES))}
    sudo = found["sudo"]
    assert (sudo.gid, sudo.members, sudo.unknown_members) == (27, ["ann", "ghost"], ["ghost"])
    assert (sudo.password, sudo.administrators, sudo.system) == ("set", ["ann"], True)
    assert (found["root"].primary_of, found["ann"].primary_of) == (["root"], ["ann"])
    assert (found["ann"].password, found["ann"].system) == ("locked", False)
    assert "SECRET" not in str(found)


def test_unreadable_parts(collect):
    found, proof = collect(module, DictHost(FILES, denied={"/etc/gshadow", "/etc/passwd"}))
    assert len(found) == 3
    assert {p.where for p in proof.problems} == {"/etc/gshadow", "/etc/passwd"}
    assert found[1].unknown_members == []
    assert collect(module, DictHost(kind="live"))[1].outcome == "error"
    assert collect(module, DictHost(kind="root"))[1].outcome == "ok"


def test_this_machine(live):
    found = {(r.name, r.gid, tuple(r.members)) for r in live(module)}
    with open("/etc/group") as file:
        local = {line.split(":")[0] for line in file if line.strip()}
    known = {(g.gr_name, g.gr_gid, tuple(sorted(set(g.gr_mem)))) for g in grp.getgrall()}
    assert found == {g for g in known if g[0] in local}


def test_hostile_input(hostile):
    hostile(module, FILES)
