"""Query parameters that many lists share."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar.params import PathParameter, QueryParameter

MAX_LIMIT = 1000
# The last ms that 64-bit nanoseconds can tell: the year 2262.
MAX_MS = 2**63 // 1_000_000 - 1

FilterText = Annotated[
    str, QueryParameter(name="filter", max_length=4096, description="filter expression")
]
Cursor = Annotated[
    str | None,
    QueryParameter(name="cursor", max_length=4096, description="`next` of the page before"),
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_LIMIT, description="rows")]
Sort = Annotated[
    str, QueryParameter(name="sort", max_length=100, description="column, or -column for falling")
]
WorkloadId = Annotated[
    str | None, QueryParameter(name="workload", max_length=100, description="only this workload")
]
SinceMs = Annotated[
    int | None, QueryParameter(name="since_ms", ge=0, le=MAX_MS, description="not before, ms")
]
UntilMs = Annotated[
    int | None, QueryParameter(name="until_ms", ge=0, le=MAX_MS, description="before, ms")
]
Format = Annotated[
    Literal["csv", "json", "xlsx"], QueryParameter(name="format", description="file type")
]
Language = Annotated[
    Literal["en", "zh-CN"],
    QueryParameter(name="lang", description="language of titles and values in csv and xlsx"),
]
Columns = Annotated[
    str,
    QueryParameter(
        name="columns",
        max_length=4096,
        description="columns of csv and xlsx in this order, by the ids of the console's table; "
        "all when empty. json has whole rows",
    ),
]
Zone = Annotated[
    str,
    QueryParameter(name="zone", max_length=64, description="IANA zone of times in csv and xlsx"),
]
PathId = Annotated[str, PathParameter(max_length=128)]
IncludeSelf = Annotated[
    bool, QueryParameter(name="self", description="also what Hauberk itself caused")
]
