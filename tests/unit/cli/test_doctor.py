import ast
import json
import sys
from pathlib import Path

import msgspec
from sqlalchemy import insert, update
from tools.bundle import modules

import hauberk.cli
from hauberk.agent.slots import State
from hauberk.cli import _data
from hauberk.link.client import identity as identities
from hauberk.schema.link import BudgetState, EnrolReply, SensorHealth
from hauberk.store.database import write
from hauberk.store.tables import agent
from hauberk.store.tables_fleet import alarm


def test_says_what_is_missing_without_a_server(run):
    done = run("doctor", "-o", "json")
    assert done.code == 3
    found = {f["part"]: f for f in json.loads(done.out)}
    assert found["API"]["verdict"] == "error"
    assert "hauberk up" in found["API"]["says"]


def test_names_tier_freshness_and_what_is_not_protected(hauberk, stack):
    home = stack.workload("default", "doctor", hostname="sick-1")
    stack.collected("default", home, "os.kernel", outcome="partial")
    done = hauberk("doctor", "-o", "json")
    says = {f["part"]: f["says"] for f in json.loads(done.out)}
    assert says["agent sick-1 sensor"].startswith("tier B")
    assert "not assessed" in says["risks"]
    assert "observes only" in says["blocking"]
    verdicts = {f["part"]: f["verdict"] for f in json.loads(done.out)}
    assert verdicts["risks"] != "ok"


def test_tells_budget_canary_and_alarms(hauberk, stack):
    home = stack.workload("default", "doctor-2", hostname="kept-1")
    state = BudgetState(by="cgroup1", detail="/x: cpu 110000", pressure={"cpu": 3.0})
    health = SensorHealth(tier="B", proven_s=7.0)
    with write(stack.engine) as db:
        db.execute(
            update(agent)
            .where(agent.c.workload == home)
            .values(
                budget_state=msgspec.json.encode(state).decode(),
                sensor=msgspec.json.encode(health).decode(),
            )
        )
        db.execute(
            insert(alarm).values(
                id="alarm-1",
                tenant="default",
                workload=home,
                agent=f"agent-{home}",
                kind="file_changed",
                what="/opt/x.py",
                detail="it is gone",
                since_ns=1,
            )
        )
    found = {f["part"]: f for f in json.loads(hauberk("doctor", "-o", "json").out)}
    assert found["agent kept-1 budget"]["says"].startswith("bounds by cgroup1: /x")
    assert "cpu 3 %" in found["agent kept-1 budget"]["says"]
    assert found["agent kept-1 budget"]["verdict"] == "ok"
    alarms = [f for part, f in found.items() if part == "alarm kept-1"]
    assert alarms[0]["verdict"] == "warning"
    assert "/opt/x.py" in alarms[0]["says"]


def test_an_agents_package_has_no_keys_command_and_doctor_says_so(run, tmp_path, monkeypatch):
    """Importing it must not keep the package's own self-test from passing."""
    monkeypatch.setitem(sys.modules, "hauberk.cli.keys", None)
    monkeypatch.delattr(hauberk.cli, "keys", raising=False)
    kept, dropped = modules.hauberk(Path(hauberk.cli.__file__).parents[1])
    assert "keys" in dropped
    for path in kept:
        if path.parent.name == "cli":
            top = [n for n in ast.parse(path.read_bytes()).body if isinstance(n, ast.ImportFrom)]
            names = {a.name for n in top if n.module == "hauberk.cli" for a in n.names}
            assert not names & set(dropped), path
    assert "no server is installed" not in run("doctor", "--data", str(tmp_path)).out
    (tmp_path / "server/keys").mkdir(parents=True)
    assert "no server is installed" in run("doctor", "--data", str(tmp_path)).out


def test_a_machine_with_an_agent_alone_is_judged_by_it(run, tmp_path, monkeypatch):
    reply = EnrolReply(
        agent="a1",
        workload="w1",
        tenant="t1",
        certificate=b"c",
        ca=b"c",
        task_key=bytes(32),
        task_key_id="k",
    )
    place = tmp_path / "agent"
    identities.save(place / "identity", "https://server.example", identities.new_key(), reply)
    state = State(outcome="rolled_back", message="started 3 times and never confirmed")
    (place / "slots.json").write_bytes(msgspec.json.encode(state))
    done = run("doctor", "--data", str(tmp_path), "-o", "json")
    found = {f["part"]: f for f in json.loads(done.out)}
    assert "https://server.example" in found["link"]["says"]
    assert "API" not in found
    assert (found["agent"]["verdict"], done.code) == ("error", 3)  # it does not run
    assert "started 3 times" in found["package"]["says"]
    monkeypatch.setattr(_data, "pid_of", lambda _file: 7)
    done = run("doctor", "--data", str(tmp_path), "-o", "json")
    assert "error" not in {f["verdict"] for f in json.loads(done.out)}
    assert done.code == 0
