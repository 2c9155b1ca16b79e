"""Collected rows -> differences -> tables in the spool, as link/rows.py describes them."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence

import msgspec

from hauberk.agent.batches import INVENTORY_ROWS, chunks, grouped, with_meta
from hauberk.agent.ledger import Ledger
from hauberk.engines.inventory.delta import diff
from hauberk.errors import BadInput
from hauberk.link import rows as tables
from hauberk.link import wire
from hauberk.link.client.spool import Spool
from hauberk.ports import Clock
from hauberk.schema.asset import Asset, Collection, Problem, Relation, RoleTag

MAX_RELATIONS = 50_000
MOST_UNSEEN = 20_000
RESEND_S = 30
_FIRST_NS = RESEND_S * 1_000_000_000
_log = logging.getLogger(__name__)


class Reporter:
    """What the server knows of each subclass, and what it must hear next. One thread uses it.

    The first whole report of a subclass after a start, a resync or a loss is full; others are
    differences. A collection that could not look everywhere only adds and changes: one file that
    cannot be read must not hide all that was found. `snapshot` holds the rows last found.
    """

    def __init__(self, spool: Spool, ledger: Ledger, clock: Clock) -> None:
        """Nothing is reported yet."""
        self._spool, self._ledger, self._clock = spool, ledger, clock
        self._digests: dict[str, dict[str, bytes]] = {}
        self._based: set[str] = set()  # of what the server has a whole snapshot
        self._proofs: dict[str, Collection] = {}
        self._structs: dict[str, type[Asset]] = {}
        self._sets: dict[str, bytes] = {}
        self._epoch = 0
        self._resync = threading.Event()
        self._resent_ns: int | None = None
        self._pause_ns = _FIRST_NS
        self.snapshot: dict[str, list[Asset]] = {}

    def next_epoch(self) -> int:
        """Rises with every snapshot, also over restarts while the wall clock does not jump back."""
        self._epoch = max(self._epoch + 1, self._clock.wall_ns() // 1_000_000)
        return self._epoch

    def full_next(self) -> None:
        """The server asked for everything, or something was lost. From any thread."""
        self._resync.set()

    def resend(self) -> bool:
        """After `full_next`: report every snapshot anew, in full. Whether it was done.

        The pause between two doubles while they are asked for again and again.
        """
        if not self._resync.is_set():
            return False
        now = self._clock.mono_ns()
        if self._resent_ns is not None:
            since = now - self._resent_ns
            if since < self._pause_ns:
                return False
            calm = since > 8 * self._pause_ns
            self._pause_ns = _FIRST_NS if calm else min(self._pause_ns * 2, 64 * _FIRST_NS)
        self._resent_ns = now
        self._resync.clear()
        self._digests.clear()
        self._based.clear()
        self._sets.clear()
        for subclass, proof in list(self._proofs.items()):
            again = msgspec.structs.replace(proof, epoch=self.next_epoch())
            self.report(again, self._structs[subclass], self.snapshot.get(subclass, []))
        return True

    def report(self, proof: Collection, struct: type[Asset], rows: Sequence[Asset]) -> bool:
        """Queue what changed in one subclass.

        Returns:
            Whether assets changed in a way that counts (volatile fields don't).
        """
        subclass = proof.subclass
        before = self._digests.get(subclass, {})
        delta = diff(before, rows)
        based = subclass in self._based
        full = proof.full and not based
        changed = list(rows) if full else [*delta.upserts, *delta.refreshed]
        gone = delta.gone if proof.full and not full else []
        with self._ledger.measure("encode"):
            assets, lost = _asset_tables(subclass, struct, changed, proof.epoch, full=full)
            if lost:
                proof = msgspec.structs.replace(
                    proof,
                    outcome="partial" if proof.outcome == "ok" else proof.outcome,
                    problems=[*proof.problems, *lost],
                )
            row = tables.CollectionRow.of(proof)
            table = wire.encode_table(tables.COLLECTION, tables.CollectionRow, [row])
            gone_tables = _gone_tables(subclass, gone, proof.epoch)
            # Rows that build on nothing follow their proof: the server need not ask for more.
            whole = based or full
            kept = self._queue([*assets, *gone_tables, table] if whole else [table, *assets])
        self._structs[subclass], self._proofs[subclass] = struct, proof
        if proof.full or proof.outcome == "partial" or subclass not in self.snapshot:
            self.snapshot[subclass] = list(rows)
        self._remember(subclass, delta.digests, proof, kept=kept)
        return bool(delta.upserts or gone)

    def _remember(
        self, subclass: str, now: dict[str, bytes], proof: Collection, *, kept: bool
    ) -> None:
        if not kept:
            # Not everything is on its way: the next report is full again.
            self._digests.pop(subclass, None)
            self._based.discard(subclass)
        elif proof.full:
            self._digests[subclass] = now
            self._based.add(subclass)
        else:
            known = {**self._digests.get(subclass, {}), **now}
            if len(known) > 2 * len(now) + MOST_UNSEEN:
                # Long without a whole look: forget, and let the next one be full.
                known = now
                self._based.discard(subclass)
            self._digests[subclass] = known

    def relate(self, relations: Sequence[Relation], roles: Sequence[RoleTag]) -> None:
        """Queue the whole sets of relations and role tags where they changed."""
        if len(relations) > MAX_RELATIONS:
            _log.warning("relations: %d of %d are reported", MAX_RELATIONS, len(relations))
        edges = [tables.RelationRow.of(r) for r in relations[:MAX_RELATIONS]]
        tags = [tables.RoleRow.of(t) for t in roles]
        with self._ledger.measure("encode"):
            self._set(
                tables.RELATION, wire.encode_table(tables.RELATION, tables.RelationRow, edges)
            )
            self._set(tables.ROLE, wire.encode_table(tables.ROLE, tables.RoleRow, tags))

    def _set(self, name: str, table: wire.Table) -> None:
        now = hashlib.blake2b(wire.encode_batch([table]), digest_size=16).digest()
        if self._sets.get(name) == now:
            return
        if self._queue([with_meta(table, {"epoch": self.next_epoch()})]):
            self._sets[name] = now

    def _queue(self, out: Sequence[wire.Table]) -> bool:
        kept = True
        for batch, count in grouped(out):
            kept = self._spool.append("i", batch, count) is not None and kept
            self._ledger.add("encode", rows=count)
        return kept


def _asset_tables(
    subclass: str, struct: type[Asset], rows: Sequence[Asset], epoch: int, *, full: bool
) -> tuple[list[wire.Table], list[Problem]]:
    if not rows and not full:
        return [], []
    name = tables.ASSET + subclass
    lost: list[Problem] = []
    try:
        parts = list(chunks(name, struct, rows, INVENTORY_ROWS))
    except BadInput:
        fitting: list[Asset] = []
        for row in rows:
            try:
                list(chunks(name, struct, [row], 1))
            except BadInput as error:
                lost.append(Problem(where=row.key()[:200], what=str(error)))
            else:
                fitting.append(row)
        parts = list(chunks(name, struct, fitting, INVENTORY_ROWS))
    meta: Mapping[str, int] = {"epoch": epoch, "full": int(full), "parts": len(parts)}
    return [with_meta(t, {**meta, "part": n}) for n, t in enumerate(parts, 1)], lost


def _gone_tables(subclass: str, keys: Sequence[str], epoch: int) -> list[wire.Table]:
    if not keys:
        return []
    gone = [tables.GoneRow(key) for key in keys]
    parts = chunks(tables.GONE + subclass, tables.GoneRow, gone, INVENTORY_ROWS)
    return [with_meta(t, {"epoch": epoch}) for t in parts]
