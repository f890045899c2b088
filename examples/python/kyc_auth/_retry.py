"""How long the API asks to wait."""

import email.utils
import time
from typing import Mapping, Optional

MAX_WAIT = 30  # seconds


def wait_after(headers: Mapping[str, str], max_wait: float) -> Optional[float]:
    """The seconds to wait before a request that was answered 429 is sent again; None if it
    is not to be sent again, because the wait is longer than max_wait or unknown."""
    wait = _retry_after(headers.get("Retry-After", ""))
    if wait is None and headers.get("X-RateLimit-Remaining") == "0":
        wait = _seconds_until(headers.get("X-RateLimit-Reset", ""))
    if wait is None or wait > max_wait:
        return None
    return max(0.0, wait)


def _retry_after(value: str) -> Optional[float]:
    """Seconds, or a date."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, IndexError):
        return None


def _seconds_until(unix: str) -> Optional[float]:
    return float(unix) - time.time() if unix.isascii() and unix.isdigit() else None
