"""What can go wrong between here and a host, each told as what it is: one try's fault, and whether to try again."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from runner.console import log

# (to connect, between two pieces of an answer), in seconds: nothing may wait for ever.
TIMEOUTS = (10.0, 60.0)
_LONGEST_PAUSE = 60.0
# Who asks for more patience than this is believed, and the user told.
_LONGEST_ASKED = 15 * 60.0


class RequestError(Exception):
    """One try went wrong."""

    def __init__(
        self,
        message: str,
        fix: str,
        *,
        status: int | None = None,
        again: bool = False,  # the same try may go well in a while
        wait: float | None = None,  # how long the host asks to wait
        arrived: bool = True,  # the host may have seen the request
        detail: str = "",  # the host's own words
    ):
        super().__init__(message)
        self.message, self.fix, self.status, self.detail = message, fix, status, detail
        self.again, self.wait, self.arrived = again, wait, arrived


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and how to wait in between."""

    pause: Callable[[float], None] = time.sleep
    tries: int = 7
    first: float = 1.0

    def wait(self, failures: int, fault: RequestError, what: str) -> bool:
        """Wait, as long as the host asks or twice as long as before; False where there is no next try."""
        delay = self.first * 2 ** (failures - 1) if fault.wait is None else fault.wait
        if not fault.again or failures >= self.tries or delay > _LONGEST_ASKED:
            return False
        delay = min(delay, _LONGEST_PAUSE) if fault.wait is None else delay
        log.info(f"{what}: {fault.message}; trying again in {delay:.0f} s")
        self.pause(delay)
        return True


def error_from_exception(error: Exception, url: str) -> RequestError:
    """A connection that failed, as a fault. The URL's query is left out: a signed one is a secret."""
    where = urlsplit(url).hostname or "the host"
    reason = _innermost(error)
    if isinstance(reason, OSError) and "CERTIFICATE" in str(reason).upper():
        return RequestError(
            f"the certificate of {where} is not trusted here",
            "check this machine's clock (`runner doctor`), and whether a proxy opens your connections",
            arrived=False,
        )
    fix = "check the network, HTTP_PROXY and HTTPS_PROXY, then type the same command again"
    is_new = isinstance(reason, urllib3.exceptions.NewConnectionError)
    # urllib3 says "proxy" of any connection that runs through one, even where the call got through it.
    if isinstance(error, requests.exceptions.ProxyError) and (is_new or "unnel" in str(reason)):
        return RequestError(f"the proxy on the way to {where} does not let through", fix, again=True, arrived=False)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return RequestError(f"{where} does not answer", fix, again=True, arrived=False)
    late = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)
    if isinstance(error, late) or isinstance(reason, late):
        return RequestError(f"{where} stopped answering", fix, again=True)
    if is_new:
        lost = isinstance(reason, urllib3.exceptions.NameResolutionError)
        found = f"no network: {where} is not found" if lost else f"no network: {where} cannot be reached"
        return RequestError(found, fix, again=True, arrived=False)
    if isinstance(error, requests.JSONDecodeError) or not isinstance(
        error, requests.RequestException | urllib3.exceptions.HTTPError | OSError
    ):
        return RequestError(f"{where} answered something that is not understood", fix, again=True)
    return RequestError(f"the connection to {where} broke off", fix, again=True)


def error_from_response(response: requests.Response) -> RequestError | None:
    """An answer that is a refusal, as a fault; None where it is none."""
    status, where = response.status_code, urlsplit(response.url or "").hostname or "the host"
    is_page = "text/html" in response.headers.get("Content-Type", "")
    if status < 400 and not is_page:
        return None
    text = _body(response)
    if is_page or text.lstrip()[:15].lower().startswith(("<!doctype", "<html")):
        return _fault_of_page(status, where, text, _asked_wait(response))
    detail = _detail(text)
    if status == 429:
        wait = _asked_wait(response)
        asks = f", and asks to wait {wait:.0f} s" if wait else ""
        return RequestError(
            f"{where} has had too many requests{asks}",
            f"wait {(wait or 600) / 60:.0f} min, then type the same command again",
            status=status,
            again=True,
            wait=wait,
            detail=detail,
        )
    if status >= 500 or status == 408:
        return RequestError(
            f"{where} has trouble of its own ({status})",
            "type the same command again in a while",
            status=status,
            again=True,
            wait=_asked_wait(response),
            detail=detail,
        )
    return RequestError(
        f"{where} refuses ({status}){': ' + detail if detail else ''}", "runner doctor", status=status, detail=detail
    )


def _fault_of_page(status: int, where: str, text: str, wait: float | None) -> RequestError:
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    called = f" ({' '.join(html.unescape(title[1]).split())[:80]})" if title else ""
    return RequestError(
        f"a gateway on the way to {where} answered with a web page{called}, status {status}",
        "check whether a proxy or a login page stands between, then type the same command again",
        status=status,
        again=True,
        wait=wait,
        # A gateway that says 503 may have passed the request on all the same.
    )


def _innermost(error: BaseException) -> BaseException:
    """What lies at the bottom: requests wraps what urllib3 wrapped."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = (
            getattr(error, "reason", None)
            or getattr(error, "original_error", None)
            or next((one for one in getattr(error, "args", ()) if isinstance(one, BaseException)), None)
        )
        if isinstance(error, urllib3.exceptions.NewConnectionError) or not isinstance(inner, BaseException):
            return error
        error = inner
    return error


def _body(response: requests.Response) -> str:
    try:
        return response.raw.read(1 << 16, decode_content=True).decode("utf-8", "replace")  # type: ignore[no-any-return]
    except (urllib3.exceptions.HTTPError, OSError):
        return ""


def _detail(text: str) -> str:
    """The host's own words: `{"message"}`, or `{"error": {"message"}}`."""
    try:
        told: Any = json.loads(text)
    except ValueError:
        return ""
    inner = told.get("error") if isinstance(told, dict) else None
    for one in (inner, told):
        if isinstance(one, dict) and isinstance(one.get("message"), str):
            return " ".join(one["message"].split())[:300]
    return ""


def _asked_wait(response: requests.Response) -> float | None:
    """Retry-After, in seconds: a number, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    now = server_time(response) or datetime.now(UTC)
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def server_time(response: requests.Response) -> datetime | None:
    """The time in the answer's Date header."""
    try:
        told = parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return told.replace(tzinfo=told.tzinfo or UTC)
