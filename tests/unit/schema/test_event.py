from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES, Event, ProcessActivity


def test_every_event_class_travels_and_is_numbered():
    assert set(EVENT_CLASSES) == {"process_activity", "network_activity", "blind_time"}
    for name, cls in EVENT_CLASSES.items():
        assert name == cls.TABLE
        names = [c.name for c in columns_of(cls)]
        assert names[: len(Event.__struct_fields__)] == list(Event.__struct_fields__)
    assert ProcessActivity.CLASS_UID == 1007
