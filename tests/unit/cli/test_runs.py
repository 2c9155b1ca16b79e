import json
import threading

from sqlalchemy import update

from hauberk.store.database import write
from hauberk.store.tables import task


def finish(stack, state):
    for _ in range(400):
        with write(stack.engine) as db:
            change = update(task).where(task.c.state == "pending").values(state=state)
            if db.execute(change).rowcount:
                return
        threading.Event().wait(0.02)


def test_order_look_call_off(hauberk, stack):
    stack.workload("default", "run-1", hostname="run-1")
    where = ("--filter", "hostname = run-1")
    made = hauberk("runs", "new", "--subclass", "access.user", *where)
    assert made.code == 0, made.err
    assert "1 tasks" in made.out
    listed = json.loads(hauberk("runs", "list", "-o", "json").out)
    assert listed[0]["args"] == {"subclasses": ["access.user"]}
    run = listed[0]["id"]
    assert "0/1" in hauberk("runs", "list").out
    rows = json.loads(hauberk("runs", "show", run, "-o", "json").out)
    assert [(r["hostname"], r["state"]) for r in rows] == [("run-1", "pending")]
    assert "1 cancelled" in hauberk("runs", "cancel", run).out
    assert hauberk("runs", "show", run, "--wait").code == 1
    assert hauberk("runs", "show", "nope").code == 3
    assert hauberk("runs", "new", "--filter", "hostname = nobody").code == 3


def test_waiting_ends_with_the_last_task(hauberk, stack):
    stack.workload("default", "run-2", hostname="run-2")
    where = ("--filter", "hostname = run-2")
    for state, code in (("done", 0), ("failed", 1)):
        other = threading.Thread(target=finish, args=(stack, state))
        other.start()
        told = hauberk("runs", "new", *where, "--wait", "-o", "json")
        other.join()
        assert told.code == code, told.err
        assert [t["state"] for t in json.loads(told.out)] == [state]
