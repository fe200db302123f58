"""Calls to Kaggle through its own client, with what that client lacks: timeouts, retries, errors with a fix."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests
from rich.filesize import decimal

from runner.console import Advance, log
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, Credentials, Kind, find_credentials, search_locations
from runner.hosts.http.answers import AnswerAdapter, TimedAdapter
from runner.hosts.http.content import CONTENT_ERRORS, read_lines
from runner.hosts.http.download import DownloadRequest, download_file
from runner.hosts.http.errors import (
    NETWORK_ERRORS,
    RequestError,
    error_from_exception,
    error_from_response,
    error_from_status,
    server_time,
)
from runner.hosts.http.retry import RetryPolicy, TransferLimits, WaitBudget, retry
from runner.hosts.kaggle.errors import ErrorContext, host_error
from runner.hosts.kaggle.login import AccessToken, parse_access_token, read_login, save_token, saved_token
from runner.hosts.kaggle.parse import SITE, InvalidAnswerError, parse_int, parse_object, parse_page, parse_username

COMPETITIONS = "competitions.CompetitionApiService"
DATASETS = "datasets.DatasetApiService"
KERNELS = "kernels.KernelsApiService"
BLOBS = "blobs.BlobApiService"
OAUTH = "security.OAuthService"

_PAGE_SIZE = 200
_TOKEN_LIFE = timedelta(hours=12)

Parsed = TypeVar("Parsed")


class KaggleClient:
    """One connection to Kaggle. It is opened, and credentials are searched, at the first call."""

    def __init__(self, policy: RetryPolicy, limits: TransferLimits):
        self.policy, self.limits = policy, limits
        self.credentials: Credentials | None = None
        self.clock_skew = timedelta(0)  # how far this machine's clock is ahead of Kaggle's
        self.received = 0  # bytes of all answers
        self._budget = WaitBudget(policy)
        self._http_client: Any = None
        self._refused_token = ""

    def now(self) -> datetime:
        """Kaggle's time, as of its last response; before the first one this machine's."""
        return datetime.now(UTC) - self.clock_skew

    def call(
        self,
        method: str,
        body: dict[str, Any],
        context: ErrorContext,
        parse: Callable[[dict[str, Any]], Parsed],
        *,
        service: str = COMPETITIONS,
    ) -> Parsed:
        """What `parse` makes of the answer's JSON object, else a HostError. An InvalidAnswerError is tried again."""
        try:
            return self._parsed(self._repeat(service, method, body, lambda content: parse(parse_object(content))))
        except RequestError as error:
            raise host_error(error, context, self) from None

    def signed_url(
        self, method: str, body: dict[str, Any], context: ErrorContext, *, service: str = COMPETITIONS
    ) -> str:
        """The URL that the call redirects to; HostError if it does not redirect."""
        url = self.download_call(method, body, context, service=service)
        if not isinstance(url, str):
            raise HostError(f"Kaggle gives no URL for {context.file or 'the file'}", fix="runner doctor")
        return url

    def download_call(
        self, method: str, body: dict[str, Any], context: ErrorContext, *, service: str = COMPETITIONS
    ) -> str | bytes:
        """The signed URL that the call redirects to, or the content that it answers with; else a HostError."""
        try:
            answer = self._repeat(service, method, body, bytes)
        except RequestError as error:
            raise host_error(error, context, self) from None
        return answer.url if isinstance(answer, _Redirect) else answer

    def pages(
        self,
        method: str,
        body: dict[str, Any],
        key: str,
        context: ErrorContext,
        parse: Callable[[Any], Parsed],
        *,
        service: str = COMPETITIONS,
    ) -> list[Parsed]:
        """Every item of a list, from all its pages; HostError if the list has no end."""
        parsed: list[Parsed] = []
        token, seen = "", set()
        start, received = self.policy.clock(), self.received

        def parse_items(payload: dict[str, Any]) -> tuple[list[Parsed], str]:
            items, next_token = parse_page(payload, key)
            return [parse(item) for item in items], next_token

        while True:
            page = {**body, "pageSize": _PAGE_SIZE} | ({"pageToken": token} if token else {})
            items, token = self.call(method, page, context, parse_items, service=service)
            parsed += items
            if not token:
                return parsed
            if token in seen:
                raise HostError("Kaggle's list does not end: a page repeats an earlier one", fix="runner doctor")
            seen.add(token)
            self._require_end(key, len(seen), self.received - received, self.policy.clock() - start)

    def _require_end(self, key: str, pages: int, size: int, seconds: float) -> None:
        """HostError if a list that still goes on has had all the pages, bytes or time that it may have."""
        limits = self.limits
        for is_over, reached in (
            (pages >= limits.list_pages, f"{pages:,} pages"),
            (size > limits.list_bytes, decimal(size)),
            (seconds > limits.list_seconds, f"{seconds / 60:.0f} min"),
        ):
            if is_over:
                raise HostError(f"Kaggle's list of {key} does not end: it goes on after {reached}", fix="runner doctor")

    def download(self, request: DownloadRequest, path: Path, advance: Advance) -> None:
        """Download from a signed URL to `path`, which exists afterwards only if it is complete and verified."""
        download_file(request, path, advance, self.policy, self.limits)

    def username(self, context: ErrorContext) -> str:
        """The name of the account in use; a token is asked for it."""
        token = getattr(self._connected(), "_api_token", None)
        if self.credentials is not None and (known := self.credentials.username):
            return known
        return self.call("IntrospectToken", {"token": token}, context, parse_username, service=OAUTH)

    def stream(self, path: str) -> Iterator[str]:
        """The lines of an answer that goes on for hours, as they come; RequestError if it breaks off or falls silent.

        `path` follows the API's version.
        """
        client, limits = self._connected(), self.limits
        url = f"{client._endpoint}{'' if client._endpoint.endswith('api.kaggle.com') else '/api'}/v1/{path}"
        with requests.Session() as session:
            session.auth = client._session.auth
            for scheme in ("http://", "https://"):
                session.mount(scheme, TimedAdapter(limits.answer_seconds))
            try:
                headers = {"Accept": "text/event-stream, */*", "Accept-Encoding": "identity"}
                response = session.get(url, headers=headers, stream=True, timeout=limits.timeouts)
                if error := error_from_response(response):
                    raise error
                with response:
                    yield from read_lines(response, limits.list_bytes)
            except (*NETWORK_ERRORS, *CONTENT_ERRORS) as error:
                raise error_from_exception(error, url) from None

    def request(
        self, method: str, body: dict[str, Any], *, service: str = COMPETITIONS, once: bool = False
    ) -> dict[str, Any]:
        """The answer's JSON object, or the RequestError itself. `once`: never repeat what may have been delivered."""
        return self._parsed(self._repeat(service, method, body, parse_object, once=once))

    def _parsed(self, answer: Parsed | _Redirect) -> Parsed:
        if isinstance(answer, _Redirect):
            raise RequestError("Kaggle redirects where it should respond", "runner doctor")
        return answer

    def _repeat(
        self,
        service: str,
        method: str,
        body: dict[str, Any],
        parse: Callable[[bytes], Parsed],
        *,
        once: bool = False,
    ) -> Parsed | _Redirect:
        return retry(
            lambda: self._send(service, method, body, parse),
            self.policy,
            "Kaggle",
            # A 429 was delivered and refused: repeating it cannot submit twice.
            may_repeat=lambda error: not once or not error.delivered or error.status == 429,
            budget=self._budget,
            max_seconds=self.limits.call_seconds,
        )

    def _send(
        self, service: str, method: str, body: dict[str, Any], parse: Callable[[bytes], Parsed]
    ) -> Parsed | _Redirect:
        client = self._connected()
        request = _request_type(service, method).from_dict(body)
        try:
            return parse(client.call(service, method, request, _RawAnswer))
        except _Redirect as redirect:
            return redirect
        except RequestError as error:
            if self._can_renew(error, client):
                return self._send(service, method, body, parse)
            raise
        except InvalidAnswerError as error:
            raise _invalid_answer(method, error) from None
        except (*NETWORK_ERRORS, ValueError, TypeError, RecursionError) as error:
            raise error_from_exception(error, getattr(client, "_endpoint", SITE)) from None

    def _connected(self) -> Any:
        """The official HTTP client with credentials. Nothing is sent yet, except to renew a browser login."""
        if self._http_client is None:
            self.credentials = find_credentials().used
            if self.credentials is None:
                raise HostError(
                    "no Kaggle credentials on this machine",
                    where=f"searched: {search_locations()}",
                    fix=f"save a token from {SETTINGS_PAGE} as ~/.kaggle/access_token, then: `runner doctor`",
                )
            if not (self.credentials.secret.isascii() and self.credentials.secret.isprintable()):
                raise HostError(
                    f"the {self.credentials} holds characters that none can have, such as a line break",
                    fix=f"create a new token at {SETTINGS_PAGE}",
                )
            if self.credentials.is_readable_by_others:
                path = self.credentials.path
                log.warning(f"other users of this machine can read {path}: chmod 600 {path}")
            self._http_client = self._open(self.credentials)
        return self._http_client

    def _open(self, credentials: Credentials) -> Any:
        from kagglesdk.kaggle_http_client import KaggleHttpClient

        if credentials.kind is Kind.KEY:
            client = KaggleHttpClient(username=credentials.username, password=credentials.secret)
        else:
            token = credentials.secret if credentials.kind is Kind.TOKEN else self._login_token(credentials)
            client = KaggleHttpClient(api_token=token)
        self._mount_adapter(client)
        return client

    def _mount_adapter(self, client: Any) -> None:
        client.__enter__()  # creates its session, with the credentials
        for scheme in ("http://", "https://"):
            client._session.mount(scheme, _Adapter(self))

    def _login_token(self, credentials: Credentials) -> str:
        """The browser login's access token; a new one if it ends soon, or if Kaggle has refused it."""
        assert credentials.path is not None
        known = saved_token(read_login(credentials.path))
        if known.is_valid(self.now()) and known.token != self._refused_token:
            return known.token
        token = self._new_token(credentials.secret)
        save_token(credentials.path, credentials.secret, token)
        return token.token

    def _new_token(self, refresh_token: str) -> AccessToken:
        from kagglesdk.kaggle_http_client import KaggleHttpClient
        from kagglesdk.users.types.account_service import ApiVersion, GenerateAccessTokenRequest

        request = GenerateAccessTokenRequest()
        request.refresh_token, request.api_version = refresh_token, ApiVersion.API_VERSION_V1
        request.expiration_duration = _TOKEN_LIFE
        client = KaggleHttpClient()
        self._mount_adapter(client)
        with client:
            try:
                content = client.call("users.AccountService", "GenerateAccessToken", request, _RawAnswer)
                return parse_access_token(parse_object(content), self.now())
            except RequestError as error:
                # Nothing that needs the token was sent.
                error.delivered = False
                if error.status not in (400, 401, 403, 404):
                    raise
            except InvalidAnswerError as error:
                raise _invalid_answer("GenerateAccessToken", error, delivered=False) from None
            except NETWORK_ERRORS as error:
                failure = error_from_exception(error, getattr(client, "_endpoint", SITE))
                failure.delivered = False
                raise failure from None
            except _Redirect:
                raise RequestError(
                    "Kaggle redirects where it should respond", "runner doctor", delivered=False
                ) from None
        raise HostError("the browser login has expired", fix="kaggle auth login, then: `runner doctor`")

    def _can_renew(self, error: RequestError, client: Any) -> bool:
        """Whether a refused access token can be replaced by a new one; the next call then does it."""
        if error.status != 401 or self.credentials is None or self.credentials.kind is not Kind.OAUTH:
            return False
        if self._refused_token:
            return False  # the new one is refused, too
        self._refused_token, self._http_client = str(client._api_token), None
        return True


class _Redirect(Exception):  # noqa: N818 - a response, not an error
    def __init__(self, url: str):
        super().__init__("redirected")
        self.url = url


class _Adapter(AnswerAdapter):
    """Bounds every answer, raises RequestError for those that are errors, and returns redirects unfollowed."""

    def __init__(self, client: KaggleClient):
        super().__init__(client.limits.answer_seconds, client.limits.answer_bytes)
        self._client = client

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """Disable Nagle's algorithm: through a proxy, urllib3 delays the body by 40 ms a call."""
        socket_options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        return super().proxy_manager_for(proxy, **{"socket_options": socket_options, **options})

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """The response, if it is neither an error nor a redirect."""
        response = super().send(request, *arguments, **{**options, "timeout": self._client.limits.timeouts})
        if time := server_time(response):
            self._client.clock_skew = datetime.now(UTC) - time
        if response.is_redirect:
            response.close()
            raise _Redirect(urljoin(str(request.url), response.headers["Location"]))
        error = error_from_response(response) or _error_in_json(response)
        if error:
            response.close()
            raise error
        self._client.received += len(response.content)
        return response


class _RawAnswer:
    """Response type that replaces the official parser, which fails on an unknown word or a null list."""

    @staticmethod
    def prepare_from(response: requests.Response) -> bytes:
        return response.content


def _error_in_json(response: requests.Response) -> RequestError | None:
    """The error in the JSON of a response whose status says that there is none."""
    if "json" not in response.headers.get("Content-Type", ""):
        return None
    try:
        payload = parse_object(response.content)
    except InvalidAnswerError as error:
        return _invalid_answer("", error)
    code = parse_int(payload.get("code"))
    if code is None or code < 400:
        return None
    message = payload.get("message")
    detail = " ".join(message.split())[:300] if isinstance(message, str) else ""
    return error_from_status(code, "Kaggle", detail)


def _invalid_answer(method: str, error: InvalidAnswerError, *, delivered: bool = True) -> RequestError:
    to_what = f" to {method}" if method else ""
    message = f"Kaggle sent an invalid response{to_what}: {error}"
    return RequestError(message, "wait some minutes, then: `...`", retryable=True, delivered=delivered)


# The module of a service's requests, and how their names begin. kagglesdk is imported inside functions: it takes 0.3 s.
_REQUESTS = {
    COMPETITIONS: ("competitions.types.competition_api_service", "Api"),
    DATASETS: ("datasets.types.dataset_api_service", "Api"),
    KERNELS: ("kernels.types.kernels_api_service", "Api"),
    BLOBS: ("blobs.types.blob_api_service", "Api"),
    OAUTH: ("security.types.oauth_service", ""),
}


def _request_type(service: str, method: str) -> Any:
    module, prefix = _REQUESTS[service]
    return getattr(importlib.import_module(f"kagglesdk.{module}"), f"{prefix}{method}Request")
