"""Errors of one HTTP request: what failed, whether to retry, and whether the server may have received it."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from runner.hosts.http.content import read_beginning

NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_TIMEOUT_ERRORS = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)
_CHECK_NETWORK = "check the network, HTTP_PROXY and HTTPS_PROXY, then: `...`"


class RequestError(Exception):
    """One attempt at a request failed."""

    def __init__(
        self,
        message: str,
        fix: str,
        *,
        status: int | None = None,
        retryable: bool = False,  # the same request may succeed later
        retry_after: float | None = None,  # seconds that the server asks to wait
        delivered: bool = True,  # the server may have received the request
        detail: str = "",  # the server's own message
    ):
        super().__init__(message)
        self.message, self.fix, self.status, self.detail = message, fix, status, detail
        self.retryable, self.retry_after, self.delivered = retryable, retry_after, delivered


def host_of(url: str | None) -> str:
    """The host's name in a URL, for a message."""
    try:
        return urlsplit(url or "").hostname or "the host"
    except ValueError:
        return "the host"


def error_from_exception(error: Exception, url: str) -> RequestError:
    """The RequestError for a failed connection. It never contains the URL's query: a signed one is a secret."""
    host = host_of(url)
    cause = _root_cause(error)
    if isinstance(cause, OSError) and "CERTIFICATE" in str(cause).upper():
        return RequestError(
            f"the certificate of {host} is not trusted here",
            "check this machine's clock (`runner doctor`), and whether a proxy opens your connections",
            delivered=False,
        )
    is_new = isinstance(cause, urllib3.exceptions.NewConnectionError)
    # urllib3 says "proxy" of any connection through one, even if the request passed it.
    if isinstance(error, requests.exceptions.ProxyError) and (is_new or "unnel" in str(cause)):
        return _connection_error(f"the proxy for {host} refuses the connection", delivered=False)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return _connection_error(f"{host} does not respond", delivered=False)
    if isinstance(error, _TIMEOUT_ERRORS) or isinstance(cause, _TIMEOUT_ERRORS):
        return _connection_error(f"{host} stopped responding")
    if is_new:
        unknown = isinstance(cause, urllib3.exceptions.NameResolutionError)
        reason = f"{host} cannot be resolved" if unknown else f"{host} cannot be reached"
        return _connection_error(f"no network: {reason}", delivered=False)
    if isinstance(error, requests.JSONDecodeError) or not isinstance(error, NETWORK_ERRORS):
        return _connection_error(f"{host} sent an invalid response")
    return _connection_error(f"the connection to {host} was lost")


def _connection_error(message: str, *, delivered: bool = True) -> RequestError:
    return RequestError(message, _CHECK_NETWORK, retryable=True, delivered=delivered)


def error_from_response(response: requests.Response) -> RequestError | None:
    """The RequestError for a response that is an error or a web page; None for any other."""
    status, host = response.status_code, host_of(response.url)
    is_page = "text/html" in response.headers.get("Content-Type", "")
    if status < 400 and not is_page:
        return None
    text = read_beginning(response).decode("utf-8", "replace")
    retry_after = _retry_after(response)
    if is_page or text.lstrip()[:15].lower().startswith(("<!doctype", "<html")):
        return _page_error(status, host, text, retry_after)
    return error_from_status(status, host, _server_message(text), retry_after)


def error_from_status(status: int, host: str, detail: str, retry_after: float | None = None) -> RequestError:
    """The RequestError for a status of 400 or more; `detail` is the server's own message."""
    if status == 429:
        asks = f", and asks to wait {retry_after:.0f} s" if retry_after else ""
        message = f"{host} received too many requests{asks}"
        fix = f"wait {(retry_after or 600) / 60:.0f} min, then: `...`"
    elif status >= 500 or status == 408:
        message, fix = f"{host} has a server error ({status})", "wait some minutes, then: `...`"
    else:
        message = f"{host} refuses the request ({status}){': ' + detail if detail else ''}"
        return RequestError(message, "runner doctor", status=status, detail=detail)
    return RequestError(message, fix, status=status, retryable=True, retry_after=retry_after, detail=detail)


def _page_error(status: int, host: str, text: str, retry_after: float | None) -> RequestError:
    title = re.search(r"<title[^>]*>(.*?)</title>", text[:4096], re.IGNORECASE | re.DOTALL)
    name = f" ({' '.join(html.unescape(title[1]).split())[:80]})" if title else ""
    # `delivered` stays True: a gateway that responds 503 may still have passed the request on.
    return RequestError(
        f"a gateway before {host} responded with a web page{name}, status {status}",
        "check whether a proxy or a login page is in between, then: `...`",
        status=status,
        retryable=True,
        retry_after=retry_after,
    )


def _root_cause(error: BaseException) -> BaseException:
    """The innermost exception: requests wraps what urllib3 has wrapped."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = (
            getattr(error, "reason", None)
            or getattr(error, "original_error", None)
            or next((argument for argument in getattr(error, "args", ()) if isinstance(argument, BaseException)), None)
        )
        if isinstance(error, urllib3.exceptions.NewConnectionError) or not isinstance(inner, BaseException):
            return error
        error = inner
    return error


def _server_message(text: str) -> str:
    """The message in `{"message"}` or `{"error": {"message"}}`; empty if there is none."""
    try:
        payload: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    inner = payload.get("error") if isinstance(payload, dict) else None
    for value in (inner, payload):
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            return " ".join(value["message"].split())[:300]
    return ""


def _retry_after(response: requests.Response) -> float | None:
    """Retry-After in seconds; the header holds a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    until = _parse_date(text)
    if until is None:
        return None
    return max(0.0, (until - (server_time(response) or datetime.now(UTC))).total_seconds())


def server_time(response: requests.Response) -> datetime | None:
    """The time in the Date header, aware; None if there is none."""
    return _parse_date(response.headers.get("Date", ""))


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # Further away the clock is broken, and sums with it leave the calendar.
    return date.replace(tzinfo=date.tzinfo or UTC) if 2000 < date.year < 2200 else None
