"""An S3-compatible store: address, credentials, bounded time, and what its errors mean.

A store that does not answer costs a caller one time-out; for a few seconds after that every call
fails at once, so that nobody queues behind a dead peer.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from hauberk.errors import StorageFull, Unreachable, Unsupported

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CONNECT_S, LOG_S, DATA_S = 3, 10, 20
"""Seconds for a connection, for a request on the table's log, and for one object or part."""
_RETRIES = 1
_REST_S = 3.0
_FULL = ("507", "InsufficientStorage", "StorageFull", "QuotaExceeded", "No space left")
_REFUSED = ("403 Forbidden", "401 Unauthorized", "necessary privileges", "InvalidAccessKeyId")
_ERRORS: tuple[type[Exception], ...] = (OSError, DeltaError)
if find_spec("obstore") is not None:  # an extra
    from obstore.exceptions import BaseError

    _ERRORS += (BaseError,)
_TRANSPORT = ("S3 error", "Error performing", "necessary privileges", "Object store", "HTTP error")


@dataclass(frozen=True, slots=True)
class Target:
    """A place in a bucket. Without `key_id` the environment or the machine's role is asked."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    key_id: str = ""
    secret: str = field(default="", repr=False)
    ca: bytes = b""

    @property
    def url(self) -> str:
        """Such as s3://bucket/prefix, without a slash at the end."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def delta(self) -> dict[str, str]:
        """Options of delta-rs: commits are conditional puts, so that two never take one number."""
        options = {
            "aws_region": self.region,
            "conditional_put": "etag",
            "connect_timeout": f"{CONNECT_S}s",
            "timeout": f"{LOG_S}s",
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{LOG_S}s",
        }
        if self.endpoint:
            options["aws_endpoint_url"] = self.endpoint
            options["allow_http"] = str(self.endpoint.startswith("http://")).lower()
        if self.key_id:
            options |= {"aws_access_key_id": self.key_id, "aws_secret_access_key": self.secret}
        return options

    def open(self, *, request_s: float | None = None) -> Any:
        """An obstore S3Store of everything below the prefix; one request takes `request_s`.

        Raises:
            Unsupported: obstore is not installed.
        """
        bound = timedelta(seconds=DATA_S if request_s is None else request_s)
        try:
            from obstore.store import S3Store  # noqa: PLC0415  an extra
        except ImportError as error:
            raise Unsupported("S3 needs the extra `scale`: install hauberk[scale]") from error
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "timeout": bound,
            "allow_http": self.endpoint.startswith("http://"),
        }
        if self.ca:
            client["root_certificate"] = self.ca
        more: dict[str, Any] = {}
        if self.endpoint:
            more |= {"endpoint": self.endpoint, "virtual_hosted_style_request": False}
        if self.key_id:
            more |= {"access_key_id": self.key_id, "secret_access_key": self.secret}
        return S3Store(
            self.bucket,
            prefix=self.prefix or None,
            region=self.region,
            client_options=client,
            retry_config={"max_retries": _RETRIES, "retry_timeout": bound},
            **more,
        )


class Reach:
    """Translates errors of one store, and fails fast for a while after a time-out."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._why = ""

    @contextmanager
    def __call__(self, what: str = "") -> Iterator[None]:
        """Errors of obstore and delta-rs become those of `hauberk.errors`.

        A missing object stays FileNotFoundError, a missing table TableNotFoundError and a lost
        race CommitFailedError.

        Raises:
            StorageFull: the store has no room.
            Unreachable: it does not answer, or refuses the credentials.
        """
        with self._lock:
            rest = self._down_until - time.monotonic()
        if rest > 0:
            raise Unreachable(self._why, retry_after=max(rest, 0.5))
        started = time.monotonic()
        try:
            yield
        except (FileNotFoundError, TableNotFoundError) as error:
            if "NoSuchBucket" not in str(error):
                raise
            raise self._told(what, error) or error from error
        except _ERRORS as error:
            told = self._told(what, error)
            if told is None:
                raise
            if time.monotonic() - started >= CONNECT_S:
                with self._lock:
                    self._down_until, self._why = time.monotonic() + _REST_S, str(told)
            raise told from error

    def _told(self, what: str, error: Exception) -> Exception | None:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        where = f"{self._url}/{what}".rstrip("/")
        if any(word in text for word in _FULL):
            return StorageFull(f"{where}: the store has no room left", retry_after=30.0)
        if any(word in text for word in _REFUSED):
            return Unreachable(
                f"{where}: the store refuses the credentials: see s3_key_id and s3_secret_file",
                retry_after=30.0,
            )
        if "NoSuchBucket" in text:
            return Unreachable(f"{where}: no such bucket: make it", retry_after=30.0)
        if isinstance(error, OSError | DeltaError) and not any(w in text for w in _TRANSPORT):
            return None  # not of the store: a local file, or the table itself
        if isinstance(error, CommitFailedError) and "412" in text:
            return None
        line = " ".join(text.split())[:200]
        return Unreachable(f"{where}: the store does not answer: {line}", retry_after=5.0)
