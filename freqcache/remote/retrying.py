"""Tries again what a network failed at: a bounded number of times, longer apart each time.

What is tried again: time-outs, broken connections, and whatever the client libraries of object stores raise of their
own (throttling, 5xx). What is not: a missing object, a refused permission, a wrong call. Object stores' own libraries
try again too; this is for those that do not, and for what they give up on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

ATTEMPTS: Final = 5
"""Attempts in all, the first included."""

ATTEMPTS_MORE: Final = 2
"""The same where the library below tries again by itself: s3fs up to five times, each with five of botocore's."""

FIRST_WAIT: Final = 0.2
"""Seconds before the second attempt; twice as long before each next one, give or take a half."""

_TRY_LATER: Final = frozenset({408, 425, 429})
"""HTTP statuses from 400 to 499 that another attempt may mend."""

_NEVER: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_CLIENTS: Final = frozenset(
    {"aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3"}
)
"""Packages whose exceptions tell of a network, or of a server that did not answer as it should."""


class ShortReadError(OSError):
    """A server sent fewer bytes than were asked for and than the object has."""


class NoRangesError(Exception):
    """A server sent a whole file where a part of it was asked for."""


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may help."""
    if isinstance(error, _NEVER) or _is_refusal(getattr(error, "status", None)):
        return False
    return isinstance(error, OSError | TimeoutError) or type(error).__module__.partition(".")[0] in _CLIENTS


def _is_refusal(status: object) -> bool:
    """Whether an error's HTTP status says that the request itself is wrong."""
    return isinstance(status, int) and 400 <= status < 500 and status not in _TRY_LATER


def retrying(
    attempt: Callable[[], Result],
    *,
    attempts: int = ATTEMPTS,
    first_wait: float = FIRST_WAIT,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Return what `attempt` returns, after as many attempts as it takes.

    Parameters
    ----------
    attempt : callable
        What to do; doing it twice must be harmless.
    attempts : int
        At most.
    first_wait : float
        Seconds before the second attempt.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    Exception
        The last attempt's, with a note of how many there were.
    """
    for number in range(1, attempts + 1):
        try:
            return attempt()
        except Exception as error:  # whatever the library below raises; only what may pass is tried again
            if number == attempts or not is_transient(error):
                if number > 1:
                    error.add_note(f"after {number} attempts")
                raise
        # Many workers are throttled together; they must not come back together.
        sleep(first_wait * 2 ** (number - 1) * random.uniform(0.5, 1.5))  # noqa: S311
    msg = f"attempts: expected at least 1, found {attempts}"
    raise ValueError(msg)


def reason(error: BaseException) -> str:
    """Return what to tell a person of an error of a client library: its last words, and after how many attempts."""
    words = " ".join((str(error) or type(error).__name__).split())
    return "; ".join([words, *getattr(error, "__notes__", [])])
