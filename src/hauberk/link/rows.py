"""Names and Structs of the tables that a batch carries besides events.

========================  ===============================================================
table                     rows
========================  ===============================================================
an OCSF class             schema.event (`process_activity`, `network_activity`, `blind_time`)
``asset/<subclass>``      rows of that subclass's Struct; meta `epoch`, `full`, `part`, `parts`
``gone/<subclass>``       `GoneRow`: keys that left since the last report
``collection``            `CollectionRow`: the proof that a subclass was looked at
``relation``, ``role``    the whole current set, meta `epoch`; replaces the former set
========================  ===============================================================

`full` = 1 rows are the whole subclass, spread over `parts` tables of one `epoch`; the server
removes what the epoch did not name once the last part came. `full` = 0 rows are upserts.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hauberk.schema.asset import Collection, Problem, Relation, RoleTag, column

ASSET, GONE = "asset/", "gone/"
COLLECTION, RELATION, ROLE = "collection", "relation", "role"


class GoneRow(msgspec.Struct, frozen=True):
    """A key that is no longer there."""

    key: Annotated[str, column("Key", "键")]


class CollectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`schema.asset.Collection` in columns; problems are pairs of `where`, `what`."""

    subclass: Annotated[str, column("Subclass", "子类")]
    outcome: Annotated[str, column("Outcome", "结果")]
    rows: Annotated[int, column("Rows", "行数")]
    epoch: Annotated[int, column("Epoch", "批次")]
    ended_ns: Annotated[int, column("Ended", "结束时间")]
    cpu_s: Annotated[float, column("CPU", "CPU 秒")]
    full: Annotated[bool, column("Full", "完整")]
    where: Annotated[list[str], column("Where", "位置")]
    what: Annotated[list[str], column("What", "问题")]

    @classmethod
    def of(cls, c: Collection) -> CollectionRow:
        """Columns of a Collection."""
        return cls(
            subclass=c.subclass,
            outcome=c.outcome,
            rows=c.rows,
            epoch=c.epoch,
            ended_ns=c.ended_ns,
            cpu_s=c.cpu_s,
            full=c.full,
            where=[p.where for p in c.problems],
            what=[p.what for p in c.problems],
        )

    def problems(self) -> list[Problem]:
        """Back to Problems; a missing half reads as empty text."""
        pairs = zip(self.where, self.what, strict=False)
        return [Problem(where=where, what=what) for where, what in pairs]


class RelationRow(msgspec.Struct, frozen=True, kw_only=True):
    """`schema.asset.Relation` in columns."""

    kind: Annotated[str, column("Kind", "关系")]
    src_subclass: Annotated[str, column("From", "源子类")]
    src_key: Annotated[str, column("From key", "源键")]
    dst_subclass: Annotated[str, column("To", "目标子类")]
    dst_key: Annotated[str, column("To key", "目标键")]
    evidence: Annotated[str, column("Evidence", "证据")]

    @classmethod
    def of(cls, r: Relation) -> RelationRow:
        """Columns of a Relation."""
        return cls(
            kind=r.kind,
            src_subclass=r.src_subclass,
            src_key=r.src_key,
            dst_subclass=r.dst_subclass,
            dst_key=r.dst_key,
            evidence=r.evidence,
        )


class RoleRow(msgspec.Struct, frozen=True, kw_only=True):
    """`schema.asset.RoleTag` in columns."""

    role: Annotated[str, column("Role", "角色")]
    title_en: Annotated[str, column("Title (en)", "英文标题")]
    title_zh: Annotated[str, column("Title (zh)", "中文标题")]
    confidence: Annotated[int, column("Confidence", "置信度")]
    evidence: Annotated[list[str], column("Evidence", "证据")]

    @classmethod
    def of(cls, tag: RoleTag) -> RoleRow:
        """Columns of a RoleTag."""
        return cls(
            role=tag.role,
            title_en=tag.title.en,
            title_zh=tag.title.zh,
            confidence=tag.confidence,
            evidence=list(tag.evidence),
        )
