"""Query parameters that many lists share."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar.params import Parameter

MAX_LIMIT = 1000

FilterText = Annotated[
    str, Parameter(query="filter", max_length=4096, description="filter expression; see the docs")
]
Cursor = Annotated[
    str | None,
    Parameter(query="cursor", max_length=4096, description="`next` of the page before"),
]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=MAX_LIMIT, description="rows per page")]
Sort = Annotated[
    str, Parameter(query="sort", max_length=100, description="column, or -column for falling")
]
WorkloadId = Annotated[
    str | None, Parameter(query="workload", max_length=100, description="only this workload")
]
SinceMs = Annotated[
    int | None, Parameter(query="since_ms", ge=0, le=2**53, description="not before, ms since 1970")
]
UntilMs = Annotated[
    int | None, Parameter(query="until_ms", ge=0, le=2**53, description="before, ms since 1970")
]
Format = Annotated[Literal["csv", "json"], Parameter(query="format", description="file type")]
PathId = Annotated[str, Parameter(max_length=128)]
