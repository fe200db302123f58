"""Kaggle as a host of one competition, and a Kaggle dataset as a mirror of its data."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runner.commands import TYPED
from runner.console import Advance, log
from runner.contract import Competition
from runner.errors import HostError, RunnerError
from runner.hosts.http.download import DownloadRequest
from runner.hosts.http.errors import RequestError
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.http.upload import Upload, upload_file
from runner.hosts.kaggle.client import DATASETS, KaggleClient
from runner.hosts.kaggle.errors import ErrorContext, host_error
from runner.hosts.kaggle.parse import (
    SITE,
    InvalidAnswerError,
    add_bundle,
    describe,
    parse_count,
    parse_daily_limit,
    parse_file,
    parse_info,
    parse_leaderboard_row,
    parse_limits,
    parse_ref,
    parse_submission,
)
from runner.hosts.leaderboards import read_leaderboard_zip, sort_leaderboard
from runner.hosts.ledger import parse_file_tag
from runner.hosts.protocol import (
    CompetitionInfo,
    Leaderboard,
    RemoteFile,
    Submission,
    SubmissionLimits,
    UnconfirmedError,
)

# Seconds to wait before each search for a submission whose outcome is unknown.
SEARCH_DELAYS = (2.0, 5.0, 10.0, 20.0)
# Bytes of a leaderboard's zip: 50,000 teams are two megabytes.
_MAX_LEADERBOARD = 16 << 20
# Bytes that the archive of all files may have beyond twice their sum, for the names of many small ones.
_BUNDLE_ROOM = 64 << 20


class KaggleHost:
    """Kaggle, for one competition. Nothing is sent before the first method is called."""

    keeps_submissions = True

    def __init__(
        self,
        competition: Competition,
        *,
        name: str = "kaggle",
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        limits: TransferLimits = TransferLimits(),  # noqa: B008 - frozen
    ):
        self.competition, self.name = competition, name
        self.client = KaggleClient(policy, limits)

    def now(self) -> datetime:
        """Kaggle's time, as of its last response; before the first one this machine's."""
        return self.client.now()

    def fetch_info(self, slug: str) -> CompetitionInfo:
        """Title, deadline, and whether this account may submit."""
        context = self._context(slug, check_rules=False)
        return self.client.call(
            "GetCompetition", {"competitionName": slug}, context, lambda payload: parse_info(payload, slug)
        )

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every data file, and one archive of them all if there are several."""
        body, context = {"competitionName": slug}, self._context(slug)
        return add_bundle(self.client.pages("ListDataFiles", body, "files", context, parse_file), slug)

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Download one file to `path`, which exists afterwards only if it is complete and verified."""
        method = "DownloadDataFiles" if file.bundle else "DownloadDataFile"
        body = {"competitionName": slug} | ({} if file.bundle else {"fileName": file.name})
        context = self._context(slug, file=file.name)
        request = DownloadRequest(
            file.name,
            file.size if file.size_listed and not file.bundle else None,
            lambda: self.client.signed_url(method, body, context),
            context.command("download"),
            max_size=2 * file.size + _BUNDLE_ROOM if file.size_listed else None,
        )
        self.client.download(request, path, advance)

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Upload, verify, submit; the reference. Never sent twice: after a lost response it is searched for."""
        context = self._context(slug)
        before = {submission.ref for submission in self.fetch_submissions(slug)}
        body = {"competitionName": slug, "submissionDescription": message}
        try:
            upload = upload_file(
                lambda: self._begin_upload(path, context), path, self.client.policy, self.client.limits
            )
            payload = self.client.request("CreateSubmission", {**body, "blobFileTokens": upload.token}, once=True)
            return parse_ref(payload.get("ref"))
        except RequestError as error:
            if not may_have_arrived(error):
                raise host_error(error, context, self.client) from None
            reason = error.message
        except InvalidAnswerError:
            reason = f"Kaggle returned no submission id, but {describe(payload)}"
        return self.find_new_submission(slug, message, before, reason)

    def _begin_upload(self, path: Path, context: ErrorContext) -> Upload:
        status = path.stat()
        body = {
            "competitionName": context.slug,
            "fileName": path.name,
            "contentLength": status.st_size,
            "lastModifiedEpochSeconds": int(status.st_mtime),
        }
        return self.client.call("StartSubmissionUpload", body, context, parse_upload)

    def find_new_submission(self, slug: str, message: str, before: set[str], reason: str) -> str:
        """The reference of the submission with this message that was not there before; else UnconfirmedError."""
        is_known = False
        for delay in SEARCH_DELAYS:
            self.client.policy.sleep(delay)
            try:
                submissions = self.fetch_submissions(slug)
            except HostError:
                continue
            is_known = True
            for submission in submissions:
                if submission.ref not in before and _is_same_message(submission.message, message):
                    return submission.ref
        outcome = (
            "Kaggle did not take the submission" if is_known else "it is unknown whether Kaggle took the submission"
        )
        raise UnconfirmedError(
            f"{outcome}: {reason}",
            where=f"{SITE}/competitions/{slug}/submissions",
            fix=f"a file that has arrived is not sent again: `{TYPED}`",
        )

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission of the account, newest first."""
        body, context = {"competitionName": slug}, self._context(slug)
        listed = self.client.pages("ListSubmissions", body, "submissions", context, parse_submission)
        # A page may repeat items of the one before.
        submissions = {submission.ref: submission for submission in listed}
        return tuple(sorted(submissions.values(), key=lambda known: (known.submitted, int(known.ref)), reverse=True))

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, in its present state."""
        context = self._context(slug, submission=ref)

        def parse(payload: dict[str, Any]) -> Submission:
            submission = parse_submission(payload)
            if submission.ref != ref:
                raise InvalidAnswerError(f"submission {submission.ref} instead of {ref}")
            return submission

        return self.client.call("GetSubmission", {"ref": int(ref)}, context, parse)

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """How many submissions are left today; Kaggle's days are UTC's."""
        body, context = {"competitionName": slug}, self._context(slug)
        limits = self.client.call("GetSubmissionLimits", body, context, parse_limits)
        left, total_used_up = limits.left, limits.left == 0 and limits.limited_by_total
        if limits.left == limits.today == limits.total == 0 and not total_used_up:
            # Before the first submission there is no team, and all of Kaggle's limits are 0.
            left = self.client.call("GetCompetition", body, context, parse_daily_limit)
        midnight = self.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return SubmissionLimits(limits.today + left, left, midnight, total_used_up)

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The complete leaderboard: the public one from Kaggle's zip, else page by page."""
        if not private:
            return self._download_leaderboard(slug) or self._page_leaderboard(slug, private=False)
        info = self.fetch_info(slug)
        if info.is_over(self.now()):
            return self._page_leaderboard(slug, private=True)
        opens = f"on {info.deadline:%Y-%m-%d}" if info.deadline else "when the competition ends"
        command = self._context(slug).command("standings --refresh")
        raise HostError(f"the private leaderboard is published {opens}", fix=f"wait until then: `{command}`")

    def _download_leaderboard(self, slug: str) -> Leaderboard | None:
        """The public leaderboard from Kaggle's zip; None if there is none, or it is of the private one."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{slug}-leaderboard.zip"
                self._download_leaderboard_zip(slug, path)
                name, rows = read_leaderboard_zip(path)
        except (RunnerError, ValueError) as error:
            reason = error.message if isinstance(error, RunnerError) else error
            log.info(f"the leaderboard cannot be downloaded: {reason}; its pages are fetched instead")
            return None
        return None if "private" in name.lower() else sort_leaderboard(self.competition.metric, rows, private=False)

    def _download_leaderboard_zip(self, slug: str, path: Path) -> None:
        body, context = {"competitionName": slug}, self._context(slug, file=path.name)
        response = self.client.download_call("DownloadLeaderboard", body, context)
        if isinstance(response, bytes):
            path.write_bytes(response)
            return
        urls = iter([response])  # the first attempt uses the URL that is there

        def get_url() -> str:
            return next(urls, None) or self.client.signed_url("DownloadLeaderboard", body, context)

        request = DownloadRequest(path.name, None, get_url, max_size=_MAX_LEADERBOARD)
        self.client.download(request, path, lambda *_: None)

    def _page_leaderboard(self, slug: str, *, private: bool) -> Leaderboard:
        body = {"competitionName": slug} | ({} if private else {"overridePublic": True})
        rows = self.client.pages("GetLeaderboard", body, "submissions", self._context(slug), parse_leaderboard_row)
        return sort_leaderboard(self.competition.metric, [row for row in rows if row is not None], private=private)

    def _context(self, slug: str, *, file: str = "", submission: str = "", check_rules: bool = True) -> ErrorContext:
        return ErrorContext(self.competition, slug, file=file, submission=submission, check_rules=check_rules)


def may_have_arrived(error: RequestError) -> bool:
    """Whether the host may have taken a request that ended in this error. A refusal (4xx) is certain."""
    is_refusal = error.status is not None and 400 <= error.status < 500 and error.status != 408
    return error.delivered and not is_refusal


def parse_upload(payload: dict[str, Any]) -> Upload:
    """Where to send a file, from StartSubmissionUpload or StartBlobUpload."""
    token, url = payload.get("token"), payload.get("createUrl")
    if not isinstance(token, str) or not token:
        raise InvalidAnswerError("no token for the upload")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidAnswerError("no URL to upload to")
    return Upload(token, url)


def _is_same_message(listed: str, sent: str) -> bool:
    """Whether a listed description is the sent one, although the host may have changed its spaces or length."""
    return parse_file_tag(listed) == parse_file_tag(sent) if parse_file_tag(sent) else listed == sent


class KaggleDataset:
    """A public dataset with the same data as a competition: one archive of everything in it."""

    def __init__(self, host: KaggleHost, dataset: str):
        self._client, self._competition, self._dataset = host.client, host.competition, dataset
        self.name = f"the mirror {dataset}"

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """The archive."""
        name = f"{self._body['datasetSlug']}.zip"

        def parse(payload: dict[str, Any]) -> RemoteFile:
            return RemoteFile(name, parse_count(payload, "totalBytes"), bundle=True)

        return (self._client.call("GetDataset", self._body, self._context(slug), parse, service=DATASETS),)

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Download the archive to `path`, which exists afterwards only if it is complete and verified."""
        context = self._context(slug)
        request = DownloadRequest(
            file.name,
            None,
            lambda: self._client.signed_url("DownloadDataset", self._body, context, service=DATASETS),
            context.command("download --mirror"),
        )
        self._client.download(request, path, advance)

    @property
    def _body(self) -> dict[str, str]:
        owner, _, name = self._dataset.partition("/")
        return {"ownerSlug": owner, "datasetSlug": name}

    def _context(self, slug: str) -> ErrorContext:
        return ErrorContext(self._competition, slug, dataset=self._dataset, check_rules=False)
