"""Desired state: versioned, signed, kept on disk; the last committed one holds without a server."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from hauberk.agent.signed import open_signed
from hauberk.errors import Refused
from hauberk.link.client.files import write_atomic
from hauberk.link.client.identity import Ids
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.link import Desired

_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes with whom they were for and which key had signed them."""

    ids: Ids
    document: bytes


class DesiredState:
    """The current desired state. Not thread-safe."""

    def __init__(self, path: Path, ids: Ids) -> None:
        """Load the committed version; a missing, damaged or foreign file means the defaults."""
        self._path, self._ids = path, ids
        self.current = self._load()

    def use(self, ids: Ids) -> None:
        """Go on under a renewed identity; another agent id starts from the defaults."""
        foreign = ids.agent != self._ids.agent
        self._ids = ids
        if foreign:
            self.current = self._default()

    def accept(self, raw: bytes) -> bool:
        """Commit a newer version.

        Returns:
            Whether something changed; the same version again is no change.

        Raises:
            Refused: not ours, not signed, or older than what is committed.
            OSError: it could not be stored; the former version stays.
        """
        desired = open_signed(raw, "desired", Desired, self._ids)
        if desired.version == self.current.version:
            return False
        if desired.version < self.current.version:
            raise Refused(f"desired state {desired.version} is older than {self.current.version}")
        kept = Kept(ids=self._ids, document=raw)
        write_atomic(self._path, msgspec.msgpack.encode(kept))
        self.current = desired
        return True

    def _load(self) -> Desired:
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=Kept)
            if kept.ids.agent != self._ids.agent:
                return self._default()
            # Checked with the key of its time: task keys may have been renewed since.
            return open_signed(kept.document, "desired", Desired, kept.ids)
        except FileNotFoundError:
            return self._default()
        except (*UNDECODABLE, Refused) as error:
            _log.error("%s: %s; defaults hold until the server sends it again", self._path, error)
            return self._default()

    def _default(self) -> Desired:
        """Version 0: the server's answer to it is its current version."""
        return Desired(
            tenant=self._ids.tenant,
            workload=self._ids.workload,
            agent=self._ids.agent,
            version=0,
            key_id=self._ids.task_key_id,
        )
