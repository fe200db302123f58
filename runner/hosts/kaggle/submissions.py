"""Submissions on Kaggle: handing in, looking after, and how many are left today."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from runner.errors import HostError
from runner.hosts.file_tag import parse_file_tag
from runner.hosts.http.errors import RequestError
from runner.hosts.http.upload import Upload, upload_file
from runner.hosts.kaggle.answers import int_of, submission_of
from runner.hosts.kaggle.questions import KaggleApi
from runner.hosts.kaggle.wire import SITE
from runner.hosts.protocol import Submission, SubmissionLimits, UnreachableError

_LOOKS = (2.0, 5.0, 10.0, 20.0)  # seconds to wait before each look for a submission of unknown fate


class Submissions(KaggleApi):
    """What is asked about submissions."""

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Upload, verify, hand in. What became of it is looked up where the line broke at the last moment."""
        before = {one.ref for one in self.fetch_submissions(slug)}
        try:
            upload = upload_file(lambda: self._begin_upload(slug, path), path, self.wire.patience, self.wire.timeouts)
            told = self.wire.ask(
                "CreateSubmission",
                {"competitionName": slug, "blobFileTokens": upload.token, "submissionDescription": message},
                once=True,
            )
        except RequestError as fault:
            if fault.arrived and fault.again and fault.status != 429:
                return self._look_for(slug, message, before, fault)
            self.refuse(fault, slug)
        ref = int_of(told.get("ref"))
        if ref:
            return str(ref)
        unclear = RequestError(
            f"Kaggle gave no reference: {told.get('message') or 'and no reason'}", self.again("submit")
        )
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
            raise RequestError("Kaggle does not say where to upload to", self.again("submit"))
        return Upload(str(told["token"]), str(told["createUrl"]))

    def _look_for(self, slug: str, message: str, before: set[str], fault: RequestError) -> str:
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
            f"{fate}: {fault.message}",
            where=f"{SITE}/competitions/{slug}/submissions",
            fix=f"{self.again('submit')}: it looks whether the file has arrived by then",
        )

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission, newest first."""
        try:
            told = list(self.pages("ListSubmissions", {"competitionName": slug}, "submissions"))
        except RequestError as fault:
            self.refuse(fault, slug)
        known = {one.ref: one for one in map(submission_of, told)}  # a page may repeat what the one before told
        return tuple(sorted(known.values(), key=lambda one: (one.submitted, int(one.ref)), reverse=True))

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, as it is now."""
        try:
            return submission_of(self.wire.ask("GetSubmission", {"ref": int(ref)}))
        except RequestError as fault:
            if fault.status != 404:
                self.refuse(fault, slug)
            raise HostError(f"Kaggle knows no submission {ref}", fix=f"{self.again('standings')} --refresh") from None

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """What is left of today's allowance; Kaggle's day is UTC's."""
        try:
            told = self.wire.ask("GetSubmissionLimits", {"competitionName": slug})
        except RequestError as fault:
            self.refuse(fault, slug)
        left, used = max(int_of(told.get("numAllowedNow")), 0), int_of(told.get("numToday"))
        total_used_up = left == 0 and bool(told.get("limitedByTotal"))
        if left == used == int_of(told.get("numTotal")) == 0 and not total_used_up:
            left = self._first_allowance(slug)
        midnight = self.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return SubmissionLimits(used + left, left, midnight, total_used_up)

    def _first_allowance(self, slug: str) -> int:
        """A day's allowance: who never handed in has no team, and for no team Kaggle counts nothing at all."""
        try:
            told = self.wire.ask("GetCompetition", {"competitionName": slug})
        except RequestError as fault:
            self.refuse(fault, slug)
        return max(int_of(told.get("maxDailySubmissions")), 1)


def _is_the_same(told: str, sent: str) -> bool:
    """Whether a description is the one that was sent, whatever the host made of its blanks or its length."""
    return parse_file_tag(told) == parse_file_tag(sent) if parse_file_tag(sent) else told == sent
