"""Answers of bounded length and time: whatever a server sends, a request ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from rich.filesize import decimal

from runner.hosts.http.content import CONTENT_ERRORS, read_pieces, time_limit
from runner.hosts.http.errors import RequestError, error_from_exception, host_of

_MAX_PIECE = 1 << 20


class TimedAdapter(requests.adapters.HTTPAdapter):
    """Ends a request that is not sent, or whose headers have not come, within some seconds.

    A timeout of the socket is not enough: a byte every few seconds keeps it from ever running out.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create the manager of direct connections."""
        super().init_poolmanager(*arguments, **options)
        self._limit_time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The manager of a proxy's connections."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            self._limit_time(manager)
        return manager

    def _limit_time(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._timed(pool.ConnectionCls)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _timed(self, connection: type) -> type:
        return type(connection.__name__, (_TimedConnection, connection), {"seconds": self._seconds})


class AnswerAdapter(TimedAdapter):
    """Reads each answer completely, up to a number of bytes after decompression, and within some seconds in all."""

    def __init__(self, seconds: float, max_bytes: int):
        self._max_bytes = max_bytes
        super().__init__(seconds)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """The response with its content, which is not read if it is an error or a redirect; else a RequestError."""
        start = time.monotonic()
        request.headers["Accept-Encoding"] = "gzip"
        response = super().send(request, *arguments, **{**options, "stream": True})
        if response.status_code < 400 and not response.is_redirect:
            remaining = max(self._seconds - (time.monotonic() - start), 0)
            # As requests itself keeps what it has read.
            response._content = read_answer(response, self._max_bytes, remaining)
            response._content_consumed = True
        return response


class _TimedConnection:
    """A connection of urllib3 whose steps each end within `seconds`."""

    seconds: float
    host: str
    sock: Any = None

    def connect(self) -> None:
        with self._time_limit():
            super().connect()  # type: ignore[misc]

    def request(self, *arguments: Any, **options: Any) -> None:
        with self._time_limit():
            super().request(*arguments, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        with self._time_limit():
            return super().getresponse()  # type: ignore[misc]

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        with time_limit(self.seconds, lambda: _shut_down(self.sock)) as is_over:
            try:
                yield
            except Exception:
                if not is_over():
                    raise
        if is_over():  # headers that were cut look like the end of all headers
            raise too_slow(f"http://{self.host}", self.seconds)


def _shut_down(sock: Any) -> None:
    """Wake whoever waits for this socket."""
    if isinstance(sock, socket.socket):
        # Not the method of an SSLSocket: it would take the encryption from under the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    elif sock is not None:
        sock.close()


def read_answer(response: requests.Response, max_bytes: int, seconds: float) -> bytes:
    """The complete content of a streamed response; RequestError if it is longer or slower."""
    with time_limit(seconds, lambda: response.raw.shutdown()) as is_over:
        try:
            content = _read_up_to(response, max_bytes)
        except CONTENT_ERRORS as error:
            if is_over():
                raise too_slow(response.url, seconds) from None
            raise error_from_exception(error, response.url) from None
    if is_over():  # a connection that was shut looks like the end of an answer without a length
        raise too_slow(response.url, seconds)
    return content


def _read_up_to(response: requests.Response, max_bytes: int) -> bytes:
    content = bytearray()
    for piece in read_pieces(response, _MAX_PIECE):
        content += piece
        if len(content) > max_bytes:
            response.close()
            raise RequestError(
                f"{host_of(response.url)} sent more than {decimal(max_bytes)} in one answer",
                "wait some minutes, then: `...`; if that does not help: `runner doctor`",
            )
    return bytes(content)


def too_slow(url: str, seconds: float) -> RequestError:
    """The RequestError for an answer that was not complete in time."""
    message = f"{host_of(url)} took more than {seconds:.0f} s for one answer"
    return RequestError(message, "wait some minutes, then: `...`", retryable=True)
