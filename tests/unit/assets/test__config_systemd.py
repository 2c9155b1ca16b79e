import pytest

from hauberk.assets import _config_systemd
from hauberk.assets._config_systemd import Units, parse_unit, template_of
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


def units(files, links=None, paths=_config_systemd.SYSTEM_PATHS, notes=None):
    return Units(DictHost(files, links=links), notes or Notes(), paths)


def test_parse_unit():
    text = (
        "; c\n[Unit]\nDescription = a=b \nnothing\n[Service]\nExecStart=/bin/x \\\n# between\n  -y \\\n  -z\n"
        "Environment=\nKey=v\\\n"
    )
    assert parse_unit(text) == [
        ("Unit", "Description", "a=b"),
        ("Service", "ExecStart", "/bin/x -y -z"),
        ("Service", "Environment", ""),
        ("Service", "Key", "v"),
    ]


@pytest.mark.parametrize(
    "text", ["", "\\\n" * 100_000, "[" * 10_000, "a=b\n", "\U0010ffff\n" * 100, "x\\\n" * 50_000]
)
def test_hostile_units(text):
    assert parse_unit(text) == []


def test_continuation_is_bounded():
    ((_, _, value),) = parse_unit(
        "[S]\nk=" + "y" * 5000 + "\\\n" + ("z" * 5000 + "\\\n") * 100 + "end\n"
    ) or [("", "", "")]
    assert len(value) <= 8192


@pytest.mark.parametrize(
    ("name", "template"),
    [("a@b.service", "a@.service"), ("a@.service", ""), ("a.service", ""), ("x", ""), ("@", "")],
)
def test_template_of(name, template):
    assert template_of(name) == template


def test_precedence_and_drop_ins():
    found = units(
        {
            "/etc/systemd/system/a.service": "[Service]\nExecStart=/etc-wins\n",
            "/usr/lib/systemd/system/a.service": "[Service]\nExecStart=/usr-loses\n",
            "/etc/systemd/system/a.service.d/50.conf": "[Service]\nExecStart=\nExecStart=/dropped\n",
            "/usr/lib/systemd/system/a.service.d/50.conf": "[Service]\nExecStart=/shadowed\n",
            "/usr/lib/systemd/system/a.service.d/60.conf": "[Service]\nUser=bob\n",
            "/etc/systemd/system/service.d/10.conf": "[Service]\nUser=alice\n",
            "/etc/systemd/system/a.service.d/readme": "x",
        }
    )
    unit = found.get("a.service")
    assert unit is not None
    assert unit.path == "/etc/systemd/system/a.service"
    assert unit.values("Service", "ExecStart") == ["/dropped"]
    assert unit.value("Service", "User") == "bob"
    assert unit.drop_ins == [
        "/etc/systemd/system/service.d/10.conf",
        "/etc/systemd/system/a.service.d/50.conf",
        "/usr/lib/systemd/system/a.service.d/60.conf",
    ]
    assert unit.has("Service")
    assert not unit.has("Install")


def test_masked_alias_instance_and_enabled():
    found = units(
        {
            "/usr/lib/systemd/system/real.service": "[Service]\nExecStart=/r\n",
            "/usr/lib/systemd/system/t@.service": "[Service]\nExecStart=/t %i\n",
            "/usr/lib/systemd/system/empty.service": "",
        },
        {
            "/etc/systemd/system/bad.service": "/dev/null",
            "/etc/systemd/system/other.service": "/usr/lib/systemd/system/real.service",
            "/etc/systemd/system/multi-user.target.wants/t@1.service": "/usr/lib/systemd/system/t@.service",
            "/etc/systemd/system/multi-user.target.wants/gone.service": "/nowhere",
        },
    )
    assert found.names((".service",)) == [
        "bad.service", "empty.service", "other.service", "real.service", "t@.service", "t@1.service",
    ]  # fmt: skip
    got = {name: found.get(name) for name in found.names((".service",))}
    assert [n for n, u in got.items() if u.masked] == ["bad.service", "empty.service"]
    assert got["other.service"].alias_of == "real.service"
    assert got["t@1.service"].enabled_by == ["multi-user.target"]
    assert got["t@1.service"].values("Service", "ExecStart") == ["/t %i"]
    assert found.get("gone.service") is None


def test_merged_usr_counts_once():
    found = units(
        {
            "/usr/lib/systemd/system/a.service": "[Unit]\n",
            "/usr/lib/systemd/system/a.service.d/x.conf": "[Unit]\n",
        },
        {"/lib": "usr/lib"},
    )
    unit = found.get("a.service")
    assert unit is not None
    assert unit.drop_ins == ["/usr/lib/systemd/system/a.service.d/x.conf"]


def test_bounded_and_refused(monkeypatch):
    monkeypatch.setattr(_config_systemd, "MAX_UNITS", 3)
    notes = Notes()
    found = units({f"/etc/systemd/system/{n}.service": "" for n in range(9)}, notes=notes)
    assert len(found.names((".service",))) == 3
    assert len(notes.problems) == 1
    notes = Notes()
    Units(DictHost({}, denied=["/etc/systemd/system"]), notes, _config_systemd.SYSTEM_PATHS)
    assert [p.where for p in notes.problems] == ["/etc/systemd/system"]


def test_scopes_of_homes():
    host = DictHost(
        {
            "/etc/passwd": "bob:x:1000:1000::/home/bob:/bin/sh\nann:x:1001:1::/home/ann:/bin/sh\n",
            "/home/bob/.config/systemd/user/evil.service": "[Service]\nExecStart=/e\n",
        }
    )
    assert [scope for scope, _ in _config_systemd.scopes(host, Notes())] == [
        "system",
        "user",
        "user:bob",
    ]
