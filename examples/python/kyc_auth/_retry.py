"""How long the API asks to wait."""

import email.utils
import json
import time
from typing import Any, Mapping, Optional

MAX_WAIT = 30  # seconds


def wait_after(headers: Mapping[str, str], max_wait: float, body: bytes = b"") -> Optional[float]:
    """The seconds to wait before a request that was answered 429 is sent again; None if it
    is not to be sent again, because the wait is longer than max_wait or unknown."""
    wait = _retry_after(headers.get("Retry-After", ""))
    if wait is None:
        wait = _in_body(body)
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


def _in_body(body: bytes) -> Optional[float]:
    """retry_after, in seconds: the API's own 429 has no Retry-After."""
    try:
        refusal: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    wait = refusal.get("retry_after") if isinstance(refusal, dict) else None
    if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not wait > 0:
        return None
    return float(min(wait, 86400))


def _seconds_until(unix: str) -> Optional[float]:
    return float(unix) - time.time() if unix.isascii() and unix.isdigit() else None
