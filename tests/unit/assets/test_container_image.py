from hauberk.assets import container_image as module
from hauberk.errors import HostError
from hauberk.host.memory import DictHost, DictRuntime
from hauberk.ports import ContainerInfo, ImageInfo

IMAGE = ImageInfo(id="ab" * 32, runtime="docker", tags=["nginx:1"], size=5, created_ns=7)


def test_images_with_their_containers(rows):
    runtime = DictRuntime(
        held_images=[IMAGE],
        held_containers=[
            ContainerInfo(id="1", name="a", runtime="docker", image_id=IMAGE.id),
            ContainerInfo(id="2", name="b", runtime="docker", image_id="other"),
        ],
    )
    (row,) = rows(module, DictHost(kind="live", runtimes=[runtime]))
    assert (row.id, row.tags, row.size_bytes, row.created_ns, row.containers) == (
        IMAGE.id,
        ["nginx:1"],
        5,
        7,
        1,
    )


def test_a_runtime_that_does_not_answer(collect):
    dead = DictRuntime("podman", "/p.sock", error=HostError("down"))
    found, proof = collect(
        module, DictHost(kind="live", runtimes=[dead, DictRuntime(held_images=[IMAGE])])
    )
    assert len(found) == 1
    assert (proof.outcome, proof.problems[0].where) == ("partial", "/p.sock")


def test_no_runtime(collect, live):
    assert collect(module, DictHost())[1].outcome == "not_applicable"
    assert all(len(r.id) == 64 for r in live(module))
