from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets._cgroups import container_of_cgroup

ID = "0123456789abcdef" * 4


@given(st.text(max_size=200))
def test_any_text_gives_an_id_or_nothing(text):
    found = container_of_cgroup(text)
    assert found == "" or (len(found) == 64 and found in text)


@given(st.sampled_from(["docker-", "libpod-", "cri-containerd-", "crio-", "x:y:", ""]))
def test_an_id_is_found_behind_any_prefix(prefix):
    assert container_of_cgroup(f"/a.slice/{prefix}{ID}.scope") == ID
