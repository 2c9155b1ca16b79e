"""Inventory without a server: this host, or a folder that holds another machine's root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._output import Output, title
from hauberk.content import role as role_content
from hauberk.engines.inventory import join, ownership, roles
from hauberk.errors import BadInput
from hauberk.host import collect, facts
from hauberk.host.clock import SystemClock
from hauberk.host.live import LiveHost
from hauberk.host.root import RootHost
from hauberk.host.shipped import shipped
from hauberk.ports import Host
from hauberk.schema.asset import Asset, Collection, Relation, RoleTag, columns_of
from hauberk.schema.link import WorkloadFacts
from hauberk.schema.taxonomy import CLASSES, SUBCLASSES

app = App(name="inventory", help=__doc__)


class Inventory(msgspec.Struct, frozen=True):
    """What `-o json` prints: rows by subclass with the proof that each was looked at."""

    facts: WorkloadFacts
    roles: list[RoleTag]
    collections: list[Collection]
    assets: dict[str, list[dict[str, Any]]]
    relations: list[Relation]
    not_collected: list[str]


@app.default
def inventory(what: str = "", *, root: Path | None = None, output: Output = "table") -> int:
    """Inventory this host, or the machine whose root is a folder.

    Args:
        what: only this class or subclass (`software.os_package`); empty takes all.
        root: folder with a mounted disk or an unpacked image.
        output: table, json, ndjson or csv (csv needs one subclass).

    Returns:
        3 when a subclass could not be looked at, else 0.
    """
    if what and what not in SUBCLASSES and what not in {c.id for c in CLASSES}:
        raise BadInput(f"no class or subclass {what!r}: `hauberk inventory` lists them all")
    if root is not None and not root.is_dir():
        raise BadInput("not a folder: --root takes a mounted or unpacked root", source=str(root))
    host: Host = LiveHost() if root is None else RootHost(str(root))
    found = take(host, what)
    if what in SUBCLASSES and output != "json":
        _rows(found, what, output)
    elif output in ("json", "ndjson"):
        _output.json_out(found)
    else:
        _summary(found, output)
    return 3 if any(c.outcome == "error" for c in found.collections) else 0


def take(host: Host, what: str = "") -> Inventory:
    """Run the collectors of `what` (all when empty) and join their rows."""
    clock = SystemClock()
    every = collect.collectors()
    chosen = {s: c for s, c in every.items() if not what or s == what or s.startswith(f"{what}.")}
    snapshot: dict[str, list[Asset]] = {}
    proofs: list[Collection] = []
    for subclass, collector in chosen.items():
        snapshot[subclass], proof = collect.run(collector, host, epoch=1, clock=clock)
        proofs.append(proof)
    owners = ownership.owners(host, join.paths(snapshot))
    known = tuple(role_content.parse(name, data) for name, data in shipped("roles"))
    missing = [s for s in SUBCLASSES if s not in every]
    return Inventory(
        facts=facts.workload_facts(host),
        roles=roles.tags(snapshot, known, exists=host.exists),
        collections=proofs,
        assets={s: [msgspec.structs.asdict(r) for r in rows] for s, rows in snapshot.items()},
        relations=join.relations(snapshot, owners),
        not_collected=missing,
    )


def _rows(found: Inventory, subclass: str, output: _output.Format) -> None:
    collector = collect.collectors().get(subclass)
    if collector is None:
        raise BadInput(f"{subclass} is not collected yet")
    columns = columns_of(collector.struct)
    heads = [(c.name, title(c.title)) for c in columns if output == "csv" or not c.wide]
    rows = found.assets[subclass]
    proof = found.collections[0]
    _output.rows_out(rows, heads, output, empty=f"{subclass}: {proof.outcome}, 0 rows")


def _summary(found: Inventory, output: _output.Format) -> None:
    proofs = {c.subclass: c for c in found.collections}
    rows = []
    for subclass in (s for c in CLASSES for s in c.subclasses):
        proof = proofs.get(subclass.id)
        if proof is None and subclass.id not in found.not_collected:
            continue
        rows.append(
            {
                "id": subclass.id,
                "title": title(subclass.title),
                "rows": proof.rows if proof else None,
                "outcome": proof.outcome if proof else "not collected",
                "cpu": f"{proof.cpu_s:.3f}" if proof else None,
                "problems": len(proof.problems) if proof else None,
            }
        )
    heads = [
        ("id", "SUBCLASS"),
        ("title", "TITLE"),
        ("rows", "ROWS"),
        ("outcome", "OUTCOME"),
        ("cpu", "CPU S"),
        ("problems", "PROBLEMS"),
    ]
    _output.rows_out(rows, heads, output)
    if output == "table":
        tags = ", ".join(f"{title(r.title)} ({r.confidence} %)" for r in found.roles)
        print(
            f"{found.facts.hostname}: {found.facts.os} {found.facts.os_version}; "
            f"roles: {tags or 'none recognised'}"
        )
