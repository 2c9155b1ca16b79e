"""Local container images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from .container_container import note_silent


class ContainerImage(Asset, frozen=True, kw_only=True):
    """An image in a runtime's store."""

    KEY = ("runtime", "id")
    VOLATILE = frozenset({"containers"})

    id: Annotated[str, column("Image id", "镜像 ID")]
    runtime: Annotated[str, column("Runtime", "运行时")]
    tags: Annotated[list[str], column("Tags", "标签")] = []
    digests: Annotated[list[str], column("Digests", "摘要", wide=True)] = []
    size_bytes: Annotated[int | None, column("Size", "大小", "bytes")] = None
    created_ns: Annotated[int | None, column("Created", "创建时间", "ns since 1970")] = None
    containers: Annotated[int | None, column("Containers", "容器数", "containers made of it")] = (
        None
    )


def collect(host: Host, notes: Notes) -> Iterator[ContainerImage]:
    """One row per image of every runtime."""
    runtimes = host.runtimes()
    if not runtimes and host.kind != "live":
        raise NotLive(f"{host.name}: not a running machine, no container runtime to ask")
    note_silent(host, notes)
    for runtime in runtimes:
        try:
            images = runtime.images()
        except HostError as error:
            notes.add(runtime.socket, error, hides=True)
            continue
        try:
            used: list[str] | None = [c.image_id for c in runtime.containers()]
        except HostError as error:
            notes.add(runtime.socket, error)
            used = None
        for image in images:
            yield ContainerImage(
                id=image.id,
                runtime=image.runtime,
                tags=list(image.tags),
                digests=list(image.digests),
                size_bytes=image.size,
                created_ns=image.created_ns or None,
                containers=None if used is None else used.count(image.id),
            )


COLLECTOR = Collector("container.image", ContainerImage, collect, 600)
