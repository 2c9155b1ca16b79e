from hauberk.assets import _proc
from hauberk.assets._proc import parse_stat
from hauberk.assets.runtime_process import Process
from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES, TICK_NS, Event, ProcessActivity, process_key

STAT = b"7 (x) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 5 0 123 1000 200 1"


def test_every_event_class_travels_and_is_numbered():
    assert set(EVENT_CLASSES) == {"process_activity", "network_activity", "blind_time"}
    for name, cls in EVENT_CLASSES.items():
        assert name == cls.TABLE
        names = [c.name for c in columns_of(cls)]
        assert names[: len(Event.__struct_fields__)] == list(Event.__struct_fields__)
    assert ProcessActivity.CLASS_UID == 1007


def test_an_events_process_is_found_in_the_inventory():
    # What one process told the hook and /proc/PID/stat at USER_HZ.
    row = Process(pid=7, start_ns=parse_stat(STAT).start_ns)
    for exact in (1_230_000_000, 1_230_000_001, 1_239_999_999):
        assert process_key(7, exact) == row.key()
    for other in (1_229_999_999, 1_240_000_000):
        assert process_key(7, other) != row.key()
    assert process_key(8, 1_230_000_000) != row.key()
    assert TICK_NS == _proc.TICK_NS
