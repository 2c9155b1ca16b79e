import grp
import pwd

from hauberk.assets import access_privilege as module
from hauberk.host.memory import DictHost

FILES = {
    "/etc/passwd": (
        "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nann:x:1000:27::/home/ann:/bin/sh\n"
    ),
    "/etc/group": "root:x:0:\nsudo:x:27:bob\ndocker:x:99:ann\ngames:x:60:ann\n",
    "/etc/sudoers": (
        "Defaults env_reset\nUser_Alias OPS = ann, bob\n%sudo ALL=(ALL:ALL) ALL\n"
        "OPS ALL=(root) NOPASSWD: /usr/bin/systemctl restart web\n@includedir /etc/sudoers.d\n"
    ),
    "/etc/sudoers.d/cloud": "# c\nann ALL=(ALL) NOPASSWD:ALL\nann ALL=(ALL) NOPASSWD:ALL\n",
    "/etc/doas.conf": "permit nopass keepenv :wheel as root\npermit setenv { A=1 B } bob cmd ls\n",
}


def test_grants(rows):
    found = rows(module, DictHost(FILES))
    assert {r.principal for r in found if r.kind == "uid_0"} == {"root", "toor"}
    members = {(r.principal, r.privilege) for r in found if r.kind == "group_member"}
    assert ("ann", "group docker: root through the Docker socket") in members
    assert {p for p, g in members if g.startswith("group sudo")} == {"ann", "bob"}
    assert not any("games" in g for _, g in members)
    rules = {(r.principal, r.source, r.line): r for r in found if r.kind == "sudo_rule"}
    group = rules["%sudo", "/etc/sudoers", 3]
    assert (group.no_password, group.any_command, group.members) == (False, True, ["ann", "bob"])
    alias = rules["OPS", "/etc/sudoers", 4]
    assert (alias.no_password, alias.any_command, alias.members) == (True, False, ["ann", "bob"])
    cloud = rules["ann", "/etc/sudoers.d/cloud", 2]
    assert (cloud.no_password, cloud.any_command, cloud.hosts) == (True, True, ["ALL"])
    assert [r.privilege for r in found if r.kind == "sudo_defaults"] == ["env_reset"]


def test_doas(rows):
    found = [r for r in rows(module, DictHost(FILES)) if r.kind == "doas_rule"]
    assert [(r.principal, r.no_password, r.any_command) for r in found] == [
        ("%wheel", True, True),
        ("bob", False, False),
    ]


def test_a_moved_rule_is_the_same_rule(rows):
    moved = {**FILES, "/etc/sudoers.d/cloud": "\n\n" + FILES["/etc/sudoers.d/cloud"]}
    keys = [{r.key() for r in rows(module, DictHost(f))} for f in (FILES, moved)]
    assert keys[0] == keys[1]


def test_denied_sudoers_is_said(collect):
    found, proof = collect(module, DictHost(FILES, denied={"/etc/sudoers"}))
    assert not [r for r in found if r.kind == "sudo_rule"]
    assert (proof.outcome, proof.problems[0].where) == ("partial", "/etc/sudoers")


def test_this_machine(live):
    found = live(module)
    assert {r.principal for r in found if r.kind == "uid_0"} == {
        p.pw_name for p in pwd.getpwall() if p.pw_uid == 0
    }
    for name in ("sudo", "docker", "adm"):
        known = {m for g in grp.getgrall() if g.gr_name == name for m in g.gr_mem}
        seen = {r.principal for r in found if r.privilege.startswith(f"group {name}:")}
        assert seen >= known


def test_hostile_input(hostile):
    hostile(module, FILES)
