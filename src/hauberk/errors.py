"""The one exception tree.

::

    HauberkError
    ├── Temporary                 worth another try after `retry_after` seconds
    │   ├── Unreachable           a peer does not answer
    │   ├── Busy                  back-pressure: the receiver is full
    │   ├── LostLease             another process does this now: begin anew from what is stored
    │   └── StorageFull           no room left; nothing was written
    └── Permanent                 the same call will fail again
        ├── BadInput              bytes or values from outside are wrong (names file, line, mend)
        │   ├── BadWire           a batch, envelope or token that cannot be decoded
        │   ├── BadFilter         a filter expression that cannot be parsed
        │   └── BadContent        a check, rule or role file that cannot be used
        ├── Refused               identity, signature, sequence, expiry or permission says no
        │   ├── Unauthenticated   no valid credential
        │   └── Forbidden         a valid credential without this right
        ├── NotFound              no such thing (in this tenant)
        ├── Conflict              the thing changed, or exists already
        ├── HostError             could not look at a machine's file or facility
        │   ├── PathMissing
        │   ├── PathDenied
        │   ├── PathTooLarge
        │   └── NotLive           needs a running machine; this Host is files only
        └── Unsupported           this kernel, platform or build cannot do it

Every message says what is wrong, where, and what mends it. "Could not look" is
never turned into "nothing there": only `PathMissing` means absence.
"""

from __future__ import annotations

LONGEST_RETRY_S = 3600.0


class HauberkError(Exception):
    """Base of every error that Hauberk raises on purpose."""


class Temporary(HauberkError):
    """Worth another try.

    Args:
        message: what happened and where.
        retry_after: seconds to wait before the next try, at most an hour.
    """

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        # A peer's word: whatever it is, nobody sleeps for ever or fails over it.
        self.retry_after = min(retry_after, LONGEST_RETRY_S) if retry_after > 0 else 0.0


class Unreachable(Temporary):
    """A peer does not answer."""


class Busy(Temporary):
    """Back-pressure: the receiver asks to wait."""


class LostLease(Temporary):
    """Another process does this now: drop what is in memory, begin anew from what is stored."""


class StorageFull(Temporary):
    """No room left on a device; nothing was written."""


class Permanent(HauberkError):
    """The same call will fail again."""


class BadInput(Permanent):
    """Bytes or values from outside are wrong.

    Args:
        message: what is wrong and how to mend it.
        source: file, URL or field the input came from.
        line: 1-based line in `source`, if there is one.
    """

    def __init__(self, message: str, *, source: str = "", line: int | None = None) -> None:
        where = f"{source}:{line}: " if source and line else f"{source}: " if source else ""
        super().__init__(f"{where}{message}")
        self.source = source
        self.line = line


class BadWire(BadInput):
    """A batch, envelope or token that cannot be decoded."""


class BadFilter(BadInput):
    """A filter expression that cannot be parsed."""


class BadContent(BadInput):
    """A content file that cannot be used."""


class Refused(Permanent):
    """Identity, signature, sequence, expiry or permission says no."""


class Unauthenticated(Refused):
    """No valid credential."""


class Forbidden(Refused):
    """A valid credential without this right."""


class NotFound(Permanent):
    """No such thing in this tenant."""


class Conflict(Permanent):
    """The thing changed meanwhile, or exists already."""


class HostError(Permanent):
    """Could not look at a machine's file or facility."""


class PathMissing(HostError):
    """The path does not exist: the only HostError that means absence."""


class PathDenied(HostError):
    """The path exists but may not be read."""


class PathTooLarge(HostError):
    """The file is larger than the caller's limit."""


class NotLive(HostError):
    """Needs a running machine; this Host is files only."""


class Unsupported(Permanent):
    """This kernel, platform or build cannot do it."""
