"""Host names of workloads, cached: every published row shows one."""

from __future__ import annotations

from collections import OrderedDict

from sqlalchemy import Engine, select

from hauberk.store.database import read
from hauberk.store.tables import workload

_MAX = 20_000


class Hostnames:
    """(tenant, workload) -> host name. `forget` when a workload says something new."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def cached(self, tenant: str, home: str) -> str:
        """The name as last looked up, "" when it never was: never touches the database."""
        return self._known.get((tenant, home), "")

    def of(self, tenant: str, home: str) -> str:
        """The name, "" when the workload is unknown."""
        known = self._known.get((tenant, home))
        if known is not None:
            return known
        query = select(workload.c.hostname).where(
            workload.c.tenant == tenant, workload.c.id == home
        )
        with read(self._engine) as db:
            name = str(db.execute(query).scalar() or "")
        self.put(tenant, home, name)
        return name

    def put(self, tenant: str, home: str, name: str) -> None:
        """Remember a name."""
        self._known[tenant, home] = name
        while len(self._known) > _MAX:
            self._known.popitem(last=False)
