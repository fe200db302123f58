"""The API's methods: competitions, data files, datasets, submissions, leaderboards."""

from __future__ import annotations

import base64
import csv
import io
import zipfile
from collections.abc import Callable
from typing import Any

from runner.errors import HostError
from runner.hosts.protocol import Submission
from tests.kaggle_server.notebooks import METHODS as NOTEBOOK_METHODS
from tests.kaggle_server.state import (
    USERNAME,
    Body,
    Call,
    HostedCompetition,
    RefusedError,
    Reply,
    ServerState,
    json_reply,
    kaggle_time,
)
from tests.kaggle_server.store import STORE, redirect, uploaded_file


def respond(state: ServerState, call: Call) -> Reply:
    """The response to a call of the API."""
    try:
        method = _METHODS.get(call.name)
        if method is None:
            raise RefusedError(404, f"Unknown method {call.name}")
        if call.name != "IntrospectToken":
            _check_account(state, call)
        payload = method(state, call.body)
    except RefusedError as refusal:
        return json_reply({"code": refusal.status, "message": refusal.message}, refusal.status)
    except HostError as error:
        return json_reply({"code": 400, "message": error.message}, 400)
    return payload if isinstance(payload, Reply) else json_reply(payload)


def _check_account(state: ServerState, call: Call) -> None:
    kind, _, secret = call.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        name, _, key = base64.b64decode(secret).decode().partition(":")
        if state.accounts.get(name) == key:
            return
    if kind == "Bearer" and secret in state.tokens:
        return
    raise RefusedError(401, "Unauthenticated")


def _introspect_token(state: ServerState, body: Body) -> dict[str, Any]:
    return {"active": body.get("token") in state.tokens, "username": USERNAME}


def _get_competition(state: ServerState, body: Body) -> dict[str, Any]:
    slug, hosted = state.competition(body)
    info = hosted.host.fetch_info(slug)
    return {
        "id": 1,
        "ref": f"https://www.kaggle.com/competitions/{slug}",
        "title": info.title,
        "url": f"https://www.kaggle.com/competitions/{slug}",
        "deadline": kaggle_time(hosted.deadline or info.deadline or state.now()),
        "userHasEntered": hosted.rules_accepted,
        "maxDailySubmissions": hosted.host.fetch_limits(slug).per_day,
        "evaluationMetric": hosted.host.competition.metric.title,
        "isKernelsSubmissionsOnly": hosted.notebooks_only or info.notebooks_only,
        "submissionsDisabled": hosted.submissions_disabled,
    }


def _list_competitions(state: ServerState, body: Body) -> dict[str, Any]:
    words = str(body.get("search") or "").lower().split()
    slugs = [slug for slug in state.competitions if not words or any(word in slug for word in words)]
    return {"competitions": [_get_competition(state, {"competitionName": slug}) for slug in slugs]}


def _list_data_files(state: ServerState, body: Body) -> dict[str, Any]:
    slug, hosted = state.competition(body, joined=True)
    files = [
        {"name": file.name, "ref": file.name, "totalBytes": file.size, "creationDate": kaggle_time(state.now())}
        for file in hosted.host.list_files(slug)
    ]
    return state.page(files, body, "files")


def _download_data_file(state: ServerState, body: Body) -> Reply:
    slug, hosted = state.competition(body, joined=True)
    name = str(body.get("fileName", ""))
    if name not in {file.name for file in hosted.host.list_files(slug)}:
        raise RefusedError(404, "Not found")
    return redirect(state, f"competitions/{slug}/{name}")


def _download_data_files(state: ServerState, body: Body) -> Reply:
    slug, _ = state.competition(body, joined=True)
    return redirect(state, f"bundles/{slug}.zip")


def _get_dataset(state: ServerState, body: Body) -> dict[str, Any]:
    name = f"{body.get('ownerSlug')}/{body.get('datasetSlug')}"
    if name not in state.datasets:
        raise RefusedError(403, "Permission 'datasets.get' was denied")
    return {"id": 1, "ref": name, "title": name, "totalBytes": state.datasets[name].stat().st_size}


def _download_dataset(state: ServerState, body: Body) -> Reply:
    _get_dataset(state, body)
    return redirect(state, f"datasets/{body['ownerSlug']}/{body['datasetSlug']}.zip")


def _start_upload(state: ServerState, body: Body) -> dict[str, Any]:
    _, hosted = state.competition(body, joined=True)
    _require_open(hosted)
    with state.lock:
        token = f"blob-{len(state.uploads) + 1}"
        state.uploads[token] = str(body.get("fileName") or "submission.csv")
    return {"token": token, "createUrl": f"{STORE}/upload/{token}"}


def _require_open(hosted: HostedCompetition) -> None:
    if hosted.submissions_disabled:
        raise RefusedError(400, "Submission not allowed: this competition does not accept submissions")
    if hosted.notebooks_only:
        raise RefusedError(400, "Submission not allowed: this competition only accepts notebooks")


def _create_submission(state: ServerState, body: Body) -> dict[str, Any]:
    slug, hosted = state.competition(body, joined=True)
    _require_open(hosted)
    token = str(body.get("blobFileTokens", ""))
    if token not in state.uploads or not uploaded_file(state, token).is_file():
        raise RefusedError(400, "Unknown blob token")
    message = str(body.get("submissionDescription") or "")
    ref = hosted.host.submit_file(slug, uploaded_file(state, token), message)
    return {"message": f"Successfully submitted to {hosted.host.competition.title}", "ref": int(ref)}


def _list_submissions(state: ServerState, body: Body) -> dict[str, Any]:
    slug, hosted = state.competition(body, joined=True)
    items = [_submission(hosted, submission) for submission in hosted.host.fetch_submissions(slug)]
    return state.page(items, body, "submissions")


def _get_submission(state: ServerState, body: Body) -> dict[str, Any]:
    """One submission. Polls are counted, because `polls_until_scored` depends on them."""
    for slug, hosted in state.competitions.items():
        for submission in hosted.host.fetch_submissions(slug):
            if submission.ref == str(body.get("ref")):
                with state.lock:
                    hosted.polls[submission.ref] = hosted.polls.get(submission.ref, 0) + 1
                return _submission(hosted, submission)
    raise RefusedError(404, "Not found")


def _submission(hosted: HostedCompetition, submission: Submission) -> dict[str, Any]:
    item = {
        "ref": int(submission.ref),
        "date": kaggle_time(submission.submitted),
        "description": submission.message,
        "fileName": submission.file_name,
        "status": submission.status.name,
        "teamName": submission.team,
        "submittedBy": submission.team,
    }
    if hosted.polls.get(submission.ref, 0) <= hosted.polls_until_scored and hosted.polls_until_scored:
        return {**item, "status": "PENDING"}
    scores = {"publicScore": submission.public, "privateScore": submission.private}
    item |= {name: f"{score:.5f}" for name, score in scores.items() if score is not None}
    return item | ({"errorDescription": submission.error} if submission.error else {})


def _get_limits(state: ServerState, body: Body) -> dict[str, Any]:
    slug, hosted = state.competition(body)
    limits = hosted.host.fetch_limits(slug)
    total = len(hosted.host.fetch_submissions(slug))
    used = limits.per_day - limits.left_today
    return {"numToday": used, "numTotal": total, "numAllowedNow": limits.left_today, "limitedByTotal": False}


def _download_leaderboard(state: ServerState, body: Body) -> Reply:
    """The public leaderboard as a zip with one CSV file, which begins with a byte order mark."""
    slug, hosted = state.competition(body)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["teamId", "teamName", "submissionDate", "score"], extrasaction="ignore")
    writer.writerow({name: name[0].upper() + name[1:] for name in writer.fieldnames})
    writer.writerows(_leaderboard_rows(hosted, slug, private=False))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{slug}-publicleaderboard.csv", "\ufeff" + text.getvalue())
    return Reply(headers={"Content-Type": "application/zip"}, content=content.getvalue())


def _get_leaderboard(state: ServerState, body: Body) -> dict[str, Any]:
    """A page of the private leaderboard once the competition is over, else of the public one."""
    slug, hosted = state.competition(body)
    deadline = hosted.deadline or hosted.host.fetch_info(slug).deadline or state.now()
    private = deadline <= state.now() and not body.get("overridePublic")
    return state.page(_leaderboard_rows(hosted, slug, private=private), body, "submissions")


def _leaderboard_rows(hosted: HostedCompetition, slug: str, *, private: bool) -> list[dict[str, Any]]:
    leaderboard = hosted.host.fetch_leaderboard(slug, private=private)
    return [
        {
            "teamId": rank,
            "teamName": row.team,
            "submissionDate": kaggle_time(row.submitted),
            "score": repr(row.score),
        }
        for rank, row in enumerate(leaderboard.rows, start=1)
    ]


_METHODS: dict[str, Callable[[ServerState, Body], dict[str, Any] | Reply]] = {
    "GetCompetition": _get_competition,
    "ListCompetitions": _list_competitions,
    "ListDataFiles": _list_data_files,
    "DownloadDataFile": _download_data_file,
    "DownloadDataFiles": _download_data_files,
    "DownloadLeaderboard": _download_leaderboard,
    "GetLeaderboard": _get_leaderboard,
    "StartSubmissionUpload": _start_upload,
    "CreateSubmission": _create_submission,
    "ListSubmissions": _list_submissions,
    "GetSubmission": _get_submission,
    "GetSubmissionLimits": _get_limits,
    "GetDataset": _get_dataset,
    "DownloadDataset": _download_dataset,
    "IntrospectToken": _introspect_token,
    **NOTEBOOK_METHODS,
}
