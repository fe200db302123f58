"""Kaggle itself, through its own client; the only importer of it, and inside functions, because that costs time."""

from __future__ import annotations

import difflib
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urljoin

import requests
import urllib3

from runner.console import Advance, say, whisper
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.boards import read_board
from runner.hosts.credentials import SETTINGS_PAGE, Credentials, Kind, find_credentials, places
from runner.hosts.faults import TIMEOUTS, Fault, Patience, fault_of_error, fault_of_response, server_time
from runner.hosts.marks import mark_in
from runner.hosts.protocol import About, BoardRow, Leaderboard, Limits, RemoteFile, Status, Submission, UnreachableError
from runner.hosts.transfer import Order, fetch
from runner.hosts.uploading import Upload, put_file

SITE = "https://www.kaggle.com"
# Beyond this, a signed URL or a token may be thought expired, or not valid yet.
SKEW_THAT_MATTERS = timedelta(minutes=5)

_COMPETITIONS = "competitions.CompetitionApiService"
_DATASETS = "datasets.DatasetApiService"
_PAGE = 200
_LOOKS = (2.0, 5.0, 10.0, 20.0)  # seconds to wait before each look for a submission of unknown fate


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
        if fault := fault_of_response(response):
            response.close()
            raise fault
        return response


class _Untouched:
    """Instead of the client's own reading, which an unknown word or a null list breaks."""

    @staticmethod
    def prepare_from(response: requests.Response) -> requests.Response:
        return response


class KaggleWire:
    """Kaggle's calls, made by its own client: with timeouts, with patience, and told as what they are."""

    def __init__(self, *, patience: Patience | None = None, timeouts: tuple[float, float] = TIMEOUTS):
        self.patience, self.timeouts = patience or Patience(), timeouts
        self.credentials: Credentials | None = None
        self.skew = timedelta(0)  # how far this machine's clock is ahead
        self._client: Any = None

    def ask(self, method: str, body: dict[str, Any], *, service: str = _COMPETITIONS, once: bool = False) -> Any:
        """The answer's JSON object. `once`: no second try unless the first cannot have arrived."""
        answer = self._call(service, method, body, once=once)
        if isinstance(answer, str):
            raise Fault("the host sends elsewhere where it should answer", "runner doctor")
        return answer

    def locate(self, method: str, body: dict[str, Any], *, service: str = _COMPETITIONS) -> str:
        """The signed URL that the call redirects to."""
        answer = self._call(service, method, body, download=True)
        if not isinstance(answer, str):
            raise Fault("the host does not say where the file lies", "runner doctor")
        return answer

    def bytes_or_url(self, method: str, body: dict[str, Any]) -> bytes | str:
        """What the call answers: the content itself, or where it lies."""
        answer: bytes | str = self._call(_COMPETITIONS, method, body, download=True)
        return answer

    def _call(
        self, service: str, method: str, body: dict[str, Any], *, once: bool = False, download: bool = False
    ) -> Any:
        failures = 0
        while True:
            try:
                return self._try(service, method, body, download)
            except Fault as fault:
                failures += 1
                settled = not fault.arrived or fault.status == 429
                if (once and not settled) or not self.patience.before_next(failures, fault, "Kaggle"):
                    raise

    def _try(self, service: str, method: str, body: dict[str, Any], download: bool) -> Any:
        client = self._open()
        request = _request_type(service, method).from_dict(body)
        try:
            response = client.call(service, method, request, _download_type() if download else _Untouched)
            return response.content if download else _object(response)
        except _Redirected as answer:
            return answer.url
        except Fault:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, TypeError) as error:
            raise fault_of_error(error, getattr(client, "_endpoint", SITE)) from None

    def _open(self) -> Any:
        """The client, logged in. Nothing is sent yet."""
        if self._client is None:
            self.credentials = find_credentials().used
            if self.credentials is None:
                raise HostError(
                    "no Kaggle credentials are on this machine",
                    where=f"looked for: {places()}",
                    cure=f"make a token at {SETTINGS_PAGE} and save it as ~/.kaggle/access_token, then: runner doctor",
                )
            if self.credentials.is_open_to_others:
                path = self.credentials.path
                say(f"warning: other users of this machine can read {path}: chmod 600 {path}")
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
            except Fault as fault:
                if fault.status not in (400, 401, 403, 404):
                    raise
                token = None
            except (_Redirected, requests.RequestException, AttributeError, ValueError, TypeError) as error:
                whisper(f"the browser login could not be renewed: {type(error).__name__}")
                token = None
        if not token:
            raise HostError("the browser login has run out", cure="kaggle auth login, then: runner doctor")
        return str(token)

    def _note_time(self, told: datetime) -> None:
        self.skew = datetime.now(UTC) - told


def _request_type(service: str, method: str) -> Any:
    if service == _DATASETS:
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


class KaggleHost:
    """Kaggle, for one competition. The wire is opened at the first question."""

    def __init__(
        self,
        competition: Competition,
        *,
        name: str = "kaggle",
        patience: Patience | None = None,
        timeouts: tuple[float, float] = TIMEOUTS,
    ):
        self.competition, self.name = competition, name
        self.wire = KaggleWire(patience=patience, timeouts=timeouts)

    def now(self) -> datetime:
        """Kaggle's time, as far as it was told; else this machine's."""
        return datetime.now(UTC) - self.wire.skew

    # --- the competition ---------------------------------------------------------------------

    def fetch_about(self, slug: str) -> About:
        """What Kaggle says of the competition, and of you in it."""
        try:
            told = self.wire.ask("GetCompetition", {"competitionName": slug})
        except Fault as fault:
            self._refuse(fault, slug, knows_of_rules=False)
        return About(
            slug=slug,
            title=str(told.get("title") or slug),
            page=f"{SITE}/competitions/{slug}",
            entered=bool(told.get("userHasEntered", False)),
            disabled=bool(told.get("submissionsDisabled", False)),
            notebooks_only=bool(told.get("isKernelsSubmissionsOnly", False)),
            deadline=_time(told.get("deadline")),
        )

    # --- the files ---------------------------------------------------------------------------

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file, and where there are many one archive of them all."""
        try:
            told = list(self._pages("ListDataFiles", {"competitionName": slug}, "files"))
        except Fault as fault:
            self._refuse(fault, slug)
        files = tuple(RemoteFile(str(one["name"]), _int(one.get("totalBytes"))) for one in told if one.get("name"))
        if len(files) < 2 or any(file.name == f"{slug}.zip" for file in files):
            return files
        return (*files, RemoteFile(f"{slug}.zip", sum(file.size for file in files), bundle=True))

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring one file, whole and verified or not at all."""
        body = {"competitionName": slug} | ({} if file.bundle else {"fileName": file.name})
        method = "DownloadDataFiles" if file.bundle else "DownloadDataFile"

        def locate() -> str:
            try:
                return self.wire.locate(method, body)
            except Fault as fault:
                self._refuse(fault, slug, file=file.name)

        self._fetch(
            Order(file.name, None if file.bundle else file.size, locate, self._again("download")), path, advance
        )

    def _fetch(self, order: Order, path: Path, advance: Advance) -> None:
        fetch(order, path, advance, patience=self.wire.patience, timeouts=self.wire.timeouts)

    # --- submissions -------------------------------------------------------------------------

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Upload, verify, hand in. What became of it is looked up where the line broke at the last moment."""
        before = {one.ref for one in self.fetch_submissions(slug)}
        try:
            upload = put_file(lambda: self._begin_upload(slug, path), path, self.wire.patience, self.wire.timeouts)
            told = self.wire.ask(
                "CreateSubmission",
                {"competitionName": slug, "blobFileTokens": upload.token, "submissionDescription": message},
                once=True,
            )
        except Fault as fault:
            if fault.arrived and fault.again and fault.status != 429:
                return self._look_for(slug, message, before, fault)
            self._refuse(fault, slug)
        ref = _int(told.get("ref"))
        if ref:
            return str(ref)
        unclear = Fault(f"Kaggle gave no reference: {told.get('message') or 'and no reason'}", self._again("submit"))
        return self._look_for(slug, message, before, unclear)

    def _begin_upload(self, slug: str, path: Path) -> Upload:
        about = path.stat()
        body = {
            "competitionName": slug,
            "fileName": path.name,
            "contentLength": about.st_size,
            "lastModifiedEpochSeconds": int(about.st_mtime),
        }
        told = self.wire.ask("StartSubmissionUpload", body)
        if not told.get("token") or not told.get("createUrl"):
            raise Fault("Kaggle does not say where to upload to", self._again("submit"))
        return Upload(str(told["token"]), str(told["createUrl"]))

    def _look_for(self, slug: str, message: str, before: set[str], fault: Fault) -> str:
        """The submission of unknown fate, if it is there. It is never sent a second time to find out."""
        looked = False
        for seconds in _LOOKS:
            self.wire.patience.pause(seconds)
            try:
                known = self.fetch_submissions(slug)
            except UnreachableError:
                continue
            looked = True
            for one in known:
                if one.ref not in before and _is_the_same(one.message, message):
                    return one.ref
        fate = "the submission was not taken" if looked else "whether the submission was taken is not known"
        raise HostError(
            f"{fate}: {fault.found}",
            where=f"{SITE}/competitions/{slug}/submissions",
            cure=f"{self._again('submit')}: it looks whether the file has arrived by then",
        )

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission, newest first."""
        try:
            told = list(self._pages("ListSubmissions", {"competitionName": slug}, "submissions"))
        except Fault as fault:
            self._refuse(fault, slug)
        known = {one.ref: one for one in map(_submission, told)}  # a page may repeat what the one before told
        return tuple(sorted(known.values(), key=lambda one: (one.submitted, int(one.ref)), reverse=True))

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, as it is now."""
        try:
            return _submission(self.wire.ask("GetSubmission", {"ref": int(ref)}))
        except Fault as fault:
            if fault.status != 404:
                self._refuse(fault, slug)
            raise HostError(f"Kaggle knows no submission {ref}", cure=f"{self._again('standings')} --refresh") from None

    def fetch_limits(self, slug: str) -> Limits:
        """What is left of today's allowance; Kaggle's day is UTC's."""
        try:
            told = self.wire.ask("GetSubmissionLimits", {"competitionName": slug})
        except Fault as fault:
            self._refuse(fault, slug)
        left, used = max(_int(told.get("numAllowedNow")), 0), _int(told.get("numToday"))
        for_good = left == 0 and bool(told.get("limitedByTotal"))
        if left == used == _int(told.get("numTotal")) == 0 and not for_good:
            left = self._first_allowance(slug)
        midnight = self.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return Limits(used + left, left, midnight, for_good)

    def _first_allowance(self, slug: str) -> int:
        """A day's allowance: who never handed in has no team, and for no team Kaggle counts nothing at all."""
        try:
            told = self.wire.ask("GetCompetition", {"competitionName": slug})
        except Fault as fault:
            self._refuse(fault, slug)
        return max(_int(told.get("maxDailySubmissions")), 1)

    # --- the boards --------------------------------------------------------------------------

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The whole board, best first: downloaded, or where that fails paged through."""
        if private:
            about = self.fetch_about(slug)
            if not about.is_over(self.now()):
                when = f"on {about.deadline:%Y-%m-%d}" if about.deadline else "when the competition ends"
                raise HostError(f"the private board opens {when}", cure=f"{self._again('standings')} --refresh, then")
            return self._page_board(slug, private=True)
        try:
            board = self._download_board(slug)
        except (Fault, HostError, ValueError) as error:
            whisper(f"the board cannot be downloaded ({type(error).__name__}); it is paged through instead")
            board = None
        return board or self._page_board(slug, private=False)

    def _download_board(self, slug: str) -> Leaderboard | None:
        """The board in Kaggle's zip; None where that is of the private one."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{slug}-board.zip"
            body = {"competitionName": slug}
            answer = self.wire.bytes_or_url("DownloadLeaderboard", body)
            if isinstance(answer, bytes):
                path.write_bytes(answer)
            else:
                urls = iter([answer])
                # The first URL is there already; a second is asked for only where a try goes wrong.
                order = Order(
                    path.name, None, lambda: next(urls, None) or self.wire.locate("DownloadLeaderboard", body)
                )
                self._fetch(order, path, lambda *_: None)
            name, rows = read_board(path)
        if "private" in name.lower():
            return None
        return self._ordered(rows, private=False)

    def _page_board(self, slug: str, *, private: bool) -> Leaderboard:
        body = {"competitionName": slug} | ({} if private else {"overridePublic": True})
        try:
            told = list(self._pages("GetLeaderboard", body, "submissions"))
        except Fault as fault:
            self._refuse(fault, slug)
        rows = [
            BoardRow(
                str(one.get("teamName") or one.get("teamId") or ""), score, _time(one.get("submissionDate")) or _NEVER
            )
            for one in told
            if (score := _score(one.get("score"))) is not None
        ]
        return self._ordered(rows, private=private)

    def _ordered(self, rows: list[BoardRow], *, private: bool) -> Leaderboard:
        sign = -1 if self.competition.metric.higher_is_better else 1
        return Leaderboard(tuple(sorted(rows, key=lambda row: (sign * row.score, row.submitted))), private)

    # --- how it is asked, and what a refusal means -------------------------------------------

    def _pages(self, method: str, body: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
        token, seen = "", set()
        while True:
            page = self.wire.ask(method, {**body, "pageSize": _PAGE} | ({"pageToken": token} if token else {}))
            items = page.get(key) or []
            yield from (one for one in items if isinstance(one, dict))
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise Fault("Kaggle's list has no end: a page leads back to an earlier one", "runner doctor")
            seen.add(token)

    def _again(self, step: str) -> str:
        return f"runner {self.competition.name or 'COMPETITION'} {step}"

    def _refuse(self, fault: Fault, slug: str, *, knows_of_rules: bool = True, file: str = "") -> NoReturn:
        """The fault as the user is told it."""
        raise self._told(fault, slug, knows_of_rules, file) from None

    def _told(self, fault: Fault, slug: str, knows_of_rules: bool, file: str) -> HostError:
        if fault.status == 401:
            return self._bad_credentials(fault)
        if fault.status == 404 and not file:
            return self._no_such_competition(slug, self._near(slug))
        if fault.status == 404:
            return HostError(f"Kaggle does not offer {file} any more", cure=f"{self._again('download')} --from DIR")
        if fault.status == 403 and knows_of_rules and not self._has_entered(slug):
            return rules_error(slug, self._again("download"))
        if fault.status == 403 and not knows_of_rules and slug not in (near := self._near(slug)) and near:
            return self._no_such_competition(slug, near)
        if fault.status == 403:
            return HostError(
                f"Kaggle refuses: {fault.detail or 'it gives no reason'}",
                where=f"{SITE}/competitions/{slug}",
                cure=f"open {SITE}/competitions/{slug}/rules and see whether you have entered; else: runner doctor",
            )
        kind = UnreachableError if fault.again else HostError
        return kind(f"{fault.found}{self._clock_remark()}", cure=fault.cure)

    def _has_entered(self, slug: str) -> bool:
        try:
            return self.fetch_about(slug).entered
        except HostError:
            return True

    def _bad_credentials(self, fault: Fault) -> HostError:
        found = find_credentials()
        cure = f"make a new token at {SETTINGS_PAGE}"
        if found.shadowed and found.used:
            cure += f"; or, since it keeps {found.shadowed[0]} from being used: {found.used.cure_to_drop}"
        said = f" ({fault.detail})" if fault.detail else ""
        return HostError(f"Kaggle does not accept the {self.wire.credentials}{said}{self._clock_remark()}", cure=cure)

    def _no_such_competition(self, slug: str, near: list[str]) -> HostError:
        guess = f"its nearest are: {', '.join(near)}" if near else f"look for it at {SITE}/competitions"
        return HostError(
            f"Kaggle has no competition {slug!r}; {guess}",
            where=f"slug={slug!r} in the competition's file",
            cure=f"write the last part of the competition's address there{f', as in {near[0]!r}' if near else ''}",
        )

    def _near(self, slug: str) -> list[str]:
        """Real slugs like this one. Whole words find what a typo in another word hides."""
        words = [word for word in re.split(r"[^a-z0-9]+", slug.lower()) if len(word) > 2]
        found: set[str] = set()
        for search in [slug.replace("-", " "), *sorted(words, key=len, reverse=True)[:3]]:
            try:
                told = self.wire.ask("ListCompetitions", {"search": search}).get("competitions") or []
            except (Fault, HostError):
                break
            # `ref` is the slug, or the whole address.
            refs = (str(one.get("ref") or one.get("url") or "") for one in told if isinstance(one, dict))
            found |= {ref.rstrip("/").rsplit("/", 1)[-1] for ref in refs} - {""}
        return difflib.get_close_matches(slug, found, n=3, cutoff=0.5)

    def _clock_remark(self) -> str:
        skew = self.wire.skew
        if abs(skew) < SKEW_THAT_MATTERS:
            return ""
        minutes = int(abs(skew).total_seconds() // 60)
        return f"; this machine's clock is {minutes} min {'ahead' if skew > timedelta(0) else 'behind'}: set it right"


class KaggleDataset:
    """A public dataset as a mirror of a competition's data: one archive of everything in it."""

    def __init__(self, host: KaggleHost, dataset: str):
        self._host, self._dataset = host, dataset
        self.name = f"the mirror {dataset}"

    @property
    def _body(self) -> dict[str, str]:
        owner, _, name = self._dataset.partition("/")
        return {"ownerSlug": owner, "datasetSlug": name}

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """The one archive."""
        try:
            told = self._host.wire.ask("GetDataset", self._body, service=_DATASETS)
        except Fault as fault:
            self._refuse(fault, slug)
        return (RemoteFile(f"{self._body['datasetSlug']}.zip", _int(told.get("totalBytes")), bundle=True),)

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring it, whole and verified or not at all."""

        def locate() -> str:
            try:
                return self._host.wire.locate("DownloadDataset", self._body, service=_DATASETS)
            except Fault as fault:
                self._refuse(fault, slug)

        again = f"runner {self._host.competition.name} download --mirror"
        self._host._fetch(Order(file.name, None, locate, again), path, advance)

    def _refuse(self, fault: Fault, slug: str) -> NoReturn:
        if fault.status in (403, 404):
            raise HostError(
                f"there is no dataset {self._dataset} on Kaggle, or not for you",
                where=f"{SITE}/datasets/{self._dataset}",
                cure=f"runner {self._host.competition.name} download --from DIR",
            ) from None
        self._host._refuse(fault, slug, knows_of_rules=False)


def rules_error(slug: str, again: str) -> HostError:
    """What is said where the rules are not accepted: only a browser can do that."""
    return HostError(
        f"the rules of {slug} are not accepted yet",
        where=f"{SITE}/competitions/{slug}/rules",
        cure=f"open that page in a browser, accept the rules (or join), then: {again}",
    )


def _is_the_same(told: str, sent: str) -> bool:
    """Whether a description is the one that was sent, whatever the host made of its blanks or its length."""
    return mark_in(told) == mark_in(sent) if mark_in(sent) else told == sent


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def _submission(told: dict[str, Any]) -> Submission:
    public, private = _score(told.get("publicScore")), _score(told.get("privateScore"))
    error = str(told.get("errorDescription") or "") or None
    return Submission(
        ref=str(_int(told.get("ref"))),
        submitted=_time(told.get("date")) or _NEVER,
        file_name=str(told.get("fileName") or ""),
        message=str(told.get("description") or ""),
        status=_status(told.get("status"), has_score=public is not None or private is not None, error=error),
        public=public,
        private=private,
        error=error,
        team=str(told.get("teamName") or ""),
    )


def _status(told: Any, *, has_score: bool, error: str | None) -> Status:
    """By the word; a word that is not known is read by what came with it."""
    word = str(told or "pending").lower()
    for status in Status:
        if word == status.value or word.endswith(("." + status.value, "_" + status.value)):
            return status
    whisper(f"Kaggle gives a submission the status {told!r}, which is not known here")
    if error:
        return Status.ERROR
    return Status.COMPLETE if has_score else Status.PENDING


def _time(told: Any) -> datetime | None:
    """A time as Kaggle writes it: UTC, mostly without saying so."""
    try:
        time_told = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return time_told.replace(tzinfo=UTC) if time_told.tzinfo is None else time_told.astimezone(UTC)


def _score(told: Any) -> float | None:
    try:
        score = float(str(told))
    except ValueError:
        return None
    return score if score == score and abs(score) != float("inf") else None


def _int(told: Any) -> int:
    """A number that may come as a text: JSON of large ones often does."""
    try:
        return int(told)
    except (TypeError, ValueError):
        return 0
