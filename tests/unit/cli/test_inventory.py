import json

import pytest

from hauberk.schema.taxonomy import SUBCLASSES

PASSWD = "root:x:0:0:root:/root:/bin/bash\nweb:x:1000:1000::/home/web:/bin/sh\n"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian"\n')
    (root / "etc/hostname").write_text("from-disk\n")
    return root


def test_a_root_folder_without_a_server(run, root):
    found = json.loads(run("inventory", "--root", str(root), "-o", "json").out)
    assert found["facts"]["hostname"] == "from-disk"
    assert {u["name"] for u in found["assets"]["access.user"]} == {"root", "web"}
    proofs = {c["subclass"]: c["outcome"] for c in found["collections"]}
    assert set(proofs) | set(found["not_collected"]) == set(SUBCLASSES)
    # What only a running machine has is "not applicable" on a folder, never an empty "ok".
    assert proofs["runtime.process"] == "not_applicable"
    assert proofs["network.connection"] == "not_applicable"


def test_one_subclass_as_a_table(run, root):
    done = run("inventory", "access.user", "--root", str(root))
    assert done.code == 0
    assert "web" in done.out


def test_this_host(run):
    out = run("inventory", "os.release", "-o", "json")
    assert out.code == 0
    assert json.loads(out.out)["assets"]["os.release"]


def test_bad_arguments(run, root):
    assert run("inventory", "--root", str(root / "missing")).code == 3
    assert run("inventory", "nothing.like.it").code == 3
