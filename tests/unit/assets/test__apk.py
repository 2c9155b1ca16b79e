"""The apk database."""

from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _apk

DATA = b"""C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
S:383152
I:622592
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Somebody <somebody@example.org>
t:1693245603
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1abc=
R:libc.musl-x86_64.so.1

P:busybox-binsh
V:1.36.1-r5
A:x86_64
o:busybox
F:
R:top
F:bin
R:sh

P:no-version

"""


def test_blocks_become_packages():
    musl, busybox = _apk.parse_installed(DATA)
    assert musl == (
        "musl",
        "1.2.4-r2",
        "x86_64",
        "musl",
        "Somebody <somebody@example.org>",
        "MIT",
        622592,
        1693245603,
    )
    assert (busybox.name, busybox.origin, busybox.size) == ("busybox-binsh", "busybox", None)


def test_files_have_owners():
    wanted = {b"/lib/ld-musl-x86_64.so.1": "a", b"/bin/sh": "b", b"/top": "c", b"/bin/no": "d"}
    assert _apk.owned(DATA, wanted) == {
        "a": ("musl", "x86_64"),
        "b": ("busybox-binsh", "x86_64"),
        "c": ("busybox-binsh", "x86_64"),
    }


def test_truncation_anywhere_does_no_harm():
    for end in range(len(DATA)):
        assert len(list(_apk.parse_installed(DATA[:end]))) <= 2
        _apk.owned(DATA[:end], {b"/bin/sh": "b"})


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed(data):
    list(_apk.parse_installed(data))
    _apk.owned(data, {b"/a": "a"})


def test_the_number_of_packages_is_bounded(monkeypatch):
    monkeypatch.setattr(_apk, "MAX_PACKAGES", 2)
    data = b"\n\n".join(b"P:p%d\nV:1" % i for i in range(9))
    assert len(list(_apk.parse_installed(data))) == 2
