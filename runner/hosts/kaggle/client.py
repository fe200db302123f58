"""Calls to Kaggle through its own client, with what that client lacks: timeouts, retries, errors with a fix."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from runner.console import Advance, log
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, Credentials, Kind, find_credentials, search_locations
from runner.hosts.http.download import DownloadRequest, download_file
from runner.hosts.http.errors import (
    NETWORK_ERRORS,
    RequestError,
    error_from_exception,
    error_from_response,
    error_from_status,
    server_time,
)
from runner.hosts.http.retry import RetryPolicy, TransferLimits, retry
from runner.hosts.kaggle.errors import ErrorContext, host_error
from runner.hosts.kaggle.parse import SITE

COMPETITIONS = "competitions.CompetitionApiService"
DATASETS = "datasets.DatasetApiService"

_PAGE_SIZE = 200


class KaggleClient:
    """One connection to Kaggle. It is opened, and credentials are searched, at the first call."""

    def __init__(self, policy: RetryPolicy, limits: TransferLimits):
        self.policy, self.limits = policy, limits
        self.credentials: Credentials | None = None
        self.clock_skew = timedelta(0)  # how far this machine's clock is ahead of Kaggle's
        self._http_client: Any = None

    def now(self) -> datetime:
        """Kaggle's time, as of its last response; before the first one this machine's."""
        return datetime.now(UTC) - self.clock_skew

    def call(
        self,
        method: str,
        body: dict[str, Any],
        context: ErrorContext,
        *,
        service: str = COMPETITIONS,
        download: bool = False,
    ) -> Any:
        """The response's JSON object; with `download` its signed URL (str) or content (bytes). Else a HostError."""
        try:
            if download:
                return self._repeat(service, method, body, download=True)
            return self.request(method, body, service=service)
        except RequestError as error:
            raise host_error(error, context, self) from None

    def signed_url(
        self, method: str, body: dict[str, Any], context: ErrorContext, *, service: str = COMPETITIONS
    ) -> str:
        """The URL that the call redirects to; HostError if it does not redirect."""
        url = self.call(method, body, context, service=service, download=True)
        if not isinstance(url, str):
            raise HostError(f"Kaggle gives no URL for {context.file or 'the file'}", fix="runner doctor")
        return url

    def pages(self, method: str, body: dict[str, Any], key: str, context: ErrorContext) -> Iterator[dict[str, Any]]:
        """Every item of a list, from all its pages."""
        token, seen = "", set()
        while True:
            page = self.call(
                method, {**body, "pageSize": _PAGE_SIZE} | ({"pageToken": token} if token else {}), context
            )
            yield from (item for item in page.get(key) or [] if isinstance(item, dict))
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise HostError("Kaggle's list does not end: a page repeats an earlier one", fix="runner doctor")
            seen.add(token)

    def download(self, request: DownloadRequest, path: Path, advance: Advance) -> None:
        """Download from a signed URL to `path`, which exists afterwards only if it is complete and verified."""
        download_file(request, path, advance, self.policy, self.limits)

    def request(
        self, method: str, body: dict[str, Any], *, service: str = COMPETITIONS, once: bool = False
    ) -> dict[str, Any]:
        """The response's JSON object, or the RequestError itself. `once`: never repeat what may have been delivered."""
        payload = self._repeat(service, method, body, once=once)
        if not isinstance(payload, dict):
            raise RequestError("Kaggle redirects where it should respond", "runner doctor")
        return payload

    def _repeat(
        self, service: str, method: str, body: dict[str, Any], *, once: bool = False, download: bool = False
    ) -> dict[str, Any] | str | bytes:
        return retry(
            lambda: self._send(service, method, body, download),
            self.policy,
            "Kaggle",
            # A 429 was delivered and refused: repeating it cannot submit twice.
            may_repeat=lambda error: not once or not error.delivered or error.status == 429,
        )

    def _send(self, service: str, method: str, body: dict[str, Any], download: bool) -> dict[str, Any] | str | bytes:
        client = self._connected()
        request = _request_type(service, method).from_dict(body)
        try:
            response = client.call(service, method, request, _download_type() if download else _RawResponse)
            return bytes(response.content) if download else _json_object(response)
        except _Redirect as redirect:
            return redirect.url
        except RequestError:
            raise
        except requests.HTTPError as error:
            raise _error_in_json(error) from None
        except (*NETWORK_ERRORS, ValueError, TypeError) as error:
            raise error_from_exception(error, getattr(client, "_endpoint", SITE)) from None

    def _connected(self) -> Any:
        """The official HTTP client with credentials. Nothing is sent yet, except to renew a browser login."""
        if self._http_client is None:
            self.credentials = find_credentials().used
            if self.credentials is None:
                raise HostError(
                    "no Kaggle credentials on this machine",
                    where=f"searched: {search_locations()}",
                    fix=f"create a token at {SETTINGS_PAGE} and save it as ~/.kaggle/access_token, then: runner doctor",
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
            token = credentials.secret if credentials.kind is Kind.TOKEN else self._renewed_token()
            client = KaggleHttpClient(api_token=token)
        self._mount_adapter(client)
        return client

    def _mount_adapter(self, client: Any) -> None:
        client.__enter__()  # creates its session, with the credentials
        for scheme in ("http://", "https://"):
            client._session.mount(scheme, _Adapter(self))

    def _renewed_token(self) -> str:
        """The browser login's short-lived token, renewed if it has expired."""
        from kagglesdk import KaggleClient as OfficialClient
        from kagglesdk import KaggleCredentials

        with OfficialClient() as official:
            self._mount_adapter(official.http_client())
            try:
                token = KaggleCredentials.load(client=official).get_access_token()
            except RequestError as error:
                if error.status not in (400, 401, 403, 404):
                    raise
                token = None
            except (_Redirect, requests.RequestException, AttributeError, ValueError, TypeError) as error:
                log.debug(f"the browser login could not be renewed: {type(error).__name__}")
                token = None
        if not token:
            raise HostError("the browser login has expired", fix="kaggle auth login, then: runner doctor")
        return str(token)


class _Redirect(Exception):  # noqa: N818 - a response, not an error
    def __init__(self, url: str):
        super().__init__("redirected")
        self.url = url


class _Adapter(requests.adapters.HTTPAdapter):
    """Gives every call a timeout, raises RequestError for error responses, and returns redirects unfollowed."""

    def __init__(self, client: KaggleClient):
        super().__init__()
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
        if error := error_from_response(response):
            response.close()
            raise error
        return response


class _RawResponse:
    """Response type that replaces the official parser, which fails on an unknown word or a null list."""

    @staticmethod
    def prepare_from(response: requests.Response) -> requests.Response:
        return response


# kagglesdk is imported inside functions: it takes 0.3 s.
def _request_type(service: str, method: str) -> Any:
    if service == DATASETS:
        from kagglesdk.datasets.types import dataset_api_service as datasets

        return getattr(datasets, f"Api{method}Request")
    from kagglesdk.competitions.types import competition_api_service as competitions

    return getattr(competitions, f"Api{method}Request")


def _download_type() -> Any:
    # The official client streams a response of this type instead of reading it into memory.
    from kagglesdk.common.types.file_download import FileDownload

    return FileDownload


def _error_in_json(error: requests.HTTPError) -> RequestError:
    """The error of a response whose status is 200 and whose JSON has an error code: the official client raises it."""
    assert error.response is not None
    payload = error.response.json()
    return error_from_status(int(payload["code"]), "Kaggle", str(payload.get("message") or ""))


def _json_object(response: requests.Response) -> dict[str, Any]:
    payload = response.json()
    if not isinstance(payload, dict):
        raise ValueError("the response is no JSON object")
    return payload
