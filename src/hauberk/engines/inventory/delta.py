"""What changed between two collections of one subclass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from hauberk.schema.asset import Asset

_STABLE = 16
_ENCODER = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference, and the state to keep for the next one.

    Attributes:
        upserts: rows that are new, or changed in a field that counts.
        refreshed: rows of which only `VOLATILE` fields changed.
        gone: keys that are no longer there, sorted.
        digests: key -> digest of every row now; pass it to the next `diff`.
    """

    upserts: list[Asset]
    refreshed: list[Asset]
    gone: list[str]
    digests: dict[str, bytes]

    @property
    def empty(self) -> bool:
        """Nothing changed, not even volatile fields."""
        return not (self.upserts or self.refreshed or self.gone)


def digest(row: Asset) -> bytes:
    """16 bytes over the fields that count, then 8 over the volatile ones if the row has any.

    Field names are part of it, so a new column makes every row changed once.
    """
    return _digester(type(row))(row)


def _digester(kind: type[Asset]) -> Callable[[Asset], bytes]:
    volatile = tuple(n for n in kind.__struct_fields__ if n in kind.VOLATILE)
    stable = tuple(n for n in kind.__struct_fields__ if n not in kind.VOLATILE)
    salt = hashlib.blake2b("\0".join(stable).encode(), digest_size=16).digest()

    def compute(row: Asset) -> bytes:
        packed = _ENCODER.encode([getattr(row, name) for name in stable])
        result = hashlib.blake2b(packed, digest_size=_STABLE, key=salt).digest()
        if volatile:
            packed = _ENCODER.encode([getattr(row, name) for name in volatile])
            result += hashlib.blake2b(packed, digest_size=8).digest()
        return result

    return compute


def diff(previous: Mapping[str, bytes], rows: Sequence[Asset]) -> Delta:
    """Compare `rows`, a whole collection of one subclass, with the digests of the one before.

    Of two rows with an equal key the first counts. Order of `upserts` and `refreshed` is that of
    `rows`. Only for collections that looked at everything: what is absent is called gone.
    """
    upserts: list[Asset] = []
    refreshed: list[Asset] = []
    digests: dict[str, bytes] = {}
    digesters: dict[type[Asset], Callable[[Asset], bytes]] = {}
    for row in rows:
        key = row.key()
        if key in digests:
            continue
        kind = type(row)
        compute = digesters.get(kind)
        if compute is None:
            compute = digesters[kind] = _digester(kind)
        now = digests[key] = compute(row)
        before = previous.get(key)
        if before == now:
            continue
        if before is not None and before[:_STABLE] == now[:_STABLE]:
            refreshed.append(row)
        else:
            upserts.append(row)
    gone = sorted(key for key in previous if key not in digests)
    return Delta(upserts, refreshed, gone, digests)
