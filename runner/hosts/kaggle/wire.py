"""Kaggle's calls, made by its own client, which is imported inside functions because that costs time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from runner.console import Advance, log
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, Credentials, Kind, find_credentials, places
from runner.hosts.http.download import DownloadRequest, fetch
from runner.hosts.http.errors import (
    TIMEOUTS,
    RequestError,
    RetryPolicy,
    error_from_exception,
    error_from_response,
    server_time,
)

SITE = "https://www.kaggle.com"

_COMPETITIONS = "competitions.CompetitionApiService"
DATASETS = "datasets.DatasetApiService"


class _Redirected(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, url: str):
        super().__init__("redirected")
        self.url = url


class _Adapter(requests.adapters.HTTPAdapter):
    """Every call has a timeout, every refusal is read here, and a redirect is an answer, not a way to go."""

    def __init__(self, timeouts: tuple[float, float], note_time: Callable[[datetime], None]):
        super().__init__()
        self._timeouts, self._note_time = timeouts, note_time

    def proxy_manager_for(self, proxy: Any, **more: Any) -> Any:
        """As requests has it, but for 40 ms a call: through a proxy, urllib3 lets the body wait for a receipt."""
        at_once = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        return super().proxy_manager_for(proxy, **{"socket_options": at_once, **more})

    def send(self, request: requests.PreparedRequest, *rest: Any, **more: Any) -> requests.Response:
        """As requests has it, but for the above."""
        response = super().send(request, *rest, **{**more, "timeout": self._timeouts})
        if told := server_time(response):
            self._note_time(told)
        if response.is_redirect:
            response.close()
            raise _Redirected(urljoin(str(request.url), response.headers["Location"]))
        if fault := error_from_response(response):
            response.close()
            raise fault
        return response


class _Untouched:
    """Instead of the client's own reading, which an unknown word or a null list breaks."""

    @staticmethod
    def prepare_from(response: requests.Response) -> requests.Response:
        return response


class KaggleClient:
    """Kaggle's calls, made by its own client: with timeouts, with patience, and told as what they are."""

    def __init__(self, *, patience: RetryPolicy | None = None, timeouts: tuple[float, float] = TIMEOUTS):
        self.patience, self.timeouts = patience or RetryPolicy(), timeouts
        self.credentials: Credentials | None = None
        self.skew = timedelta(0)  # how far this machine's clock is ahead
        self._client: Any = None

    def ask(self, method: str, body: dict[str, Any], *, service: str = _COMPETITIONS, once: bool = False) -> Any:
        """The answer's JSON object. `once`: no second try unless the first cannot have arrived."""
        answer = self._call(service, method, body, once=once)
        if isinstance(answer, str):
            raise RequestError("the host sends elsewhere where it should answer", "runner doctor")
        return answer

    def locate(self, method: str, body: dict[str, Any], *, service: str = _COMPETITIONS) -> str:
        """The signed URL that the call redirects to."""
        answer = self._call(service, method, body, download=True)
        if not isinstance(answer, str):
            raise RequestError("the host does not say where the file lies", "runner doctor")
        return answer

    def bytes_or_url(self, method: str, body: dict[str, Any]) -> bytes | str:
        """What the call answers: the content itself, or where it lies."""
        answer: bytes | str = self._call(_COMPETITIONS, method, body, download=True)
        return answer

    def fetch(self, order: DownloadRequest, path: Path, advance: Advance) -> None:
        """Bring what lies at a signed URL, whole and verified or not at all."""
        fetch(order, path, advance, patience=self.patience, timeouts=self.timeouts)

    def now(self) -> datetime:
        """Kaggle's time, as far as it was told; else this machine's."""
        return datetime.now(UTC) - self.skew

    def _call(
        self, service: str, method: str, body: dict[str, Any], *, once: bool = False, download: bool = False
    ) -> Any:
        failures = 0
        while True:
            try:
                return self._try(service, method, body, download)
            except RequestError as fault:
                failures += 1
                settled = not fault.arrived or fault.status == 429
                if (once and not settled) or not self.patience.wait(failures, fault, "Kaggle"):
                    raise

    def _try(self, service: str, method: str, body: dict[str, Any], download: bool) -> Any:
        client = self._open()
        request = _request_type(service, method).from_dict(body)
        try:
            response = client.call(service, method, request, _download_type() if download else _Untouched)
            return response.content if download else _object(response)
        except _Redirected as answer:
            return answer.url
        except RequestError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, TypeError) as error:
            raise error_from_exception(error, getattr(client, "_endpoint", SITE)) from None

    def _open(self) -> Any:
        """The client, logged in. Nothing is sent yet."""
        if self._client is None:
            self.credentials = find_credentials().used
            if self.credentials is None:
                raise HostError(
                    "no Kaggle credentials are on this machine",
                    where=f"looked for: {places()}",
                    fix=f"make a token at {SETTINGS_PAGE} and save it as ~/.kaggle/access_token, then: runner doctor",
                )
            if self.credentials.is_open_to_others:
                path = self.credentials.path
                log.info(f"warning: other users of this machine can read {path}: chmod 600 {path}")
            self._client = self._connect(self.credentials)
        return self._client

    def _connect(self, credentials: Credentials) -> Any:
        from kagglesdk.kaggle_http_client import KaggleHttpClient

        if credentials.kind is Kind.KEY:
            client = KaggleHttpClient(username=credentials.username, password=credentials.secret)
        elif credentials.kind is Kind.TOKEN:
            client = KaggleHttpClient(api_token=credentials.secret)
        else:
            client = KaggleHttpClient(api_token=self._login_token())
        self._fit(client)
        return client

    def _fit(self, client: Any) -> None:
        client.__enter__()  # it makes its session here, and logs it in
        for scheme in ("http://", "https://"):
            client._session.mount(scheme, _Adapter(self.timeouts, self._note_time))

    def _login_token(self) -> str:
        """The browser login's short-lived token, renewed where it has run out."""
        from kagglesdk import KaggleClient, KaggleCredentials

        with KaggleClient() as kaggle:
            self._fit(kaggle.http_client())
            try:
                token = KaggleCredentials.load(client=kaggle).get_access_token()
            except RequestError as fault:
                if fault.status not in (400, 401, 403, 404):
                    raise
                token = None
            except (_Redirected, requests.RequestException, AttributeError, ValueError, TypeError) as error:
                log.debug(f"the browser login could not be renewed: {type(error).__name__}")
                token = None
        if not token:
            raise HostError("the browser login has run out", fix="kaggle auth login, then: runner doctor")
        return str(token)

    def _note_time(self, told: datetime) -> None:
        self.skew = datetime.now(UTC) - told


def _request_type(service: str, method: str) -> Any:
    if service == DATASETS:
        from kagglesdk.datasets.types import dataset_api_service as datasets

        return getattr(datasets, f"Api{method}Request")
    from kagglesdk.competitions.types import competition_api_service as competitions

    return getattr(competitions, f"Api{method}Request")


def _download_type() -> Any:
    # The client streams an answer of this type, instead of taking it into memory whole.
    from kagglesdk.common.types.file_download import FileDownload

    return FileDownload


def _object(response: requests.Response) -> dict[str, Any]:
    told = response.json()
    if not isinstance(told, dict):
        raise ValueError("no object")
    return told
