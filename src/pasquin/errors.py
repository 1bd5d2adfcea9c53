"""The errors Pasquin raises on purpose.

Every message is one sentence saying what happened, and one saying what to do about it. The command line prints the
message without a traceback and exits with `exit_code`; anything that is not a `PasquinError` is a bug.

    PasquinError                  exit 1
    ├── UsageError                exit 2   the command or a setting makes no sense: nothing was done
    ├── InputError                exit 1   what was given to read cannot be read
    ├── WorkspaceError            exit 1   no workspace here, or it is damaged, locked or from another version
    ├── CorpusError               exit 1   a corpus is missing, empty or too small for what was asked
    ├── ModelError                exit 1   a model is missing, incomplete or of a kind the engine cannot run
    ├── StoreError                exit 1   the database cannot be opened, read or written
    ├── NetworkError              exit 1   a service could not be reached or refused
    │   ├── Refused                        it said no (gone, private, not found): asking again is of no use
    │   │   ├── AccountRefused             our own account may not publish: key revoked, account suspended
    │   │   └── TextRefused                it will not have this text: too long, a duplicate, against its rules
    │   ├── RateLimited                    it asked to wait longer than we are ready to
    │   ├── NotSent                        what was to be published surely was not: sending it again is safe
    │   └── InwardAddress                  an address leads into a private network
    ├── ResourceError             exit 1   the machine ran out: disk, memory, port, or a program is missing
    └── Interrupted               exit 130 the person pressed Ctrl-C; what was done is kept
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PasquinError(Exception):
    """Something a person can understand and act on; `str(error)` is what they read."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickling keeps: an error comes whole from another process, whatever its kind is made with."""
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[PasquinError], args: tuple[object, ...], attributes: dict[str, object]) -> PasquinError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UsageError(PasquinError):
    """The command, an argument or a setting makes no sense; nothing was done."""

    exit_code = 2


class InputError(PasquinError):
    """A file or feed given to Pasquin cannot be read as what it should be."""


class WorkspaceError(PasquinError):
    """There is no workspace here, or it is damaged, locked or of another version."""


class CorpusError(PasquinError):
    """A corpus is missing, empty or too small for what was asked of it."""


class ModelError(PasquinError):
    """A model is missing, incomplete, or of a kind that the engine cannot run."""


class StoreError(PasquinError):
    """The database cannot be opened, read or written."""


class NetworkError(PasquinError):
    """A service could not be reached, or refused; `status` is its HTTP status where it gave one."""

    def __init__(self, message: str, *, status: int | None = None, body: bytes = b"") -> None:
        """`body` is the beginning of what the service answered, for the code that knows its words; it is not shown."""
        super().__init__(message)
        self.status = status
        self.body = body


class Refused(NetworkError):  # noqa: N818 - as its family
    """The service said no: the account or post is gone, private or suspended, or we lack the right to it."""


class AccountRefused(Refused):
    """The network does not let our own account publish: its key was revoked, the account is suspended or locked."""


class TextRefused(Refused):
    """The network will not have this text, now or later: it is too long, repeated, or against its rules."""


class NotSent(NetworkError):  # noqa: N818 - as its family
    """What was to be published surely was not, because the network was not reached; sending it again is safe."""


class RateLimited(NetworkError):  # noqa: N818 - as its family
    """The service asked to wait longer than we are ready to; `until` is when it may be asked again, in Unix time."""

    until: float = 0.0


class InwardAddress(NetworkError):  # noqa: N818 - as its family
    """An address leads into a private network, where a service on the Internet has no business to send us."""


class ResourceError(PasquinError):
    """The machine ran out of something: disk, memory, a port, a program."""


class Interrupted(PasquinError):  # noqa: N818 - it is no failure
    """The person pressed Ctrl-C; the message says how to go on."""

    exit_code = 130


_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def disk_full(doing: str) -> ResourceError:
    """The error for a full disk; `doing` completes the sentence "Could not …"."""
    return ResourceError(
        f"Could not {doing}: the disk is full. Free some space and run the same command again; "
        "nothing that was finished is lost."
    )


def says_full(exc: Exception) -> bool:
    """Whether an error of a library that writes files itself (DuckDB) says that the disk is full."""
    return any(words in str(exc) for words in ("No space left", "Disk quota"))


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn a failed write (`OSError`) inside the block into a `ResourceError` or `WorkspaceError`.

    `doing` completes the sentence "Could not …", for example "write the corpus".
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _DISK_FULL:
            raise disk_full(doing) from exc
        raise WorkspaceError(f"Could not {doing}: {exc.strerror or exc}. Check the path and its permissions.") from exc
