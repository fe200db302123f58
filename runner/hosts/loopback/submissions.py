"""The service's answers about submissions: an upload, the file handed in, what became of it, how many are left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.hosts.loopback.messages import Body, Call, RefusedError, Reply, json_reply, told_time
from runner.hosts.loopback.site import Site, Stage
from runner.hosts.loopback.store import STORE, md5_of_bytes
from runner.hosts.protocol import Submission


def start_upload(site: Site, body: Body) -> dict[str, Any]:
    """A place for one file, and the token that stands for it."""
    _, stage = site.stage(body, entered=True)
    _check_takes_files(stage)
    with site.guard:
        token = f"blob-{len(site.uploads) + 1}"
        site.uploads[token] = str(body.get("fileName") or "submission.csv")
    return {"token": token, "createUrl": f"{STORE}/upload/{token}"}


def _check_takes_files(stage: Stage) -> None:
    if stage.disabled:
        raise RefusedError(400, "Submission not allowed: this competition does not accept submissions")
    if stage.notebooks_only:
        raise RefusedError(400, "Submission not allowed: this competition only accepts notebooks")


def take_upload(site: Site, call: Call) -> Reply:
    """Take the bytes of an upload, and say what arrived."""
    token = call.path.rsplit("/", 1)[-1]
    if token not in site.uploads:
        return Reply(404)
    path = _uploaded(site, token)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(call.content)
    digest = md5_of_bytes(call.content)
    reply = json_reply({"name": token, "size": str(len(call.content)), "md5Hash": digest})
    return replace(reply, headers=reply.headers | {"x-goog-hash": f"md5={digest}"})


def _uploaded(site: Site, token: str) -> Path:
    return site.scratch / token / Path(site.uploads[token]).name


def create_submission(site: Site, body: Body) -> dict[str, Any]:
    """Hand the file of a token in."""
    slug, stage = site.stage(body, entered=True)
    _check_takes_files(stage)
    token = str(body.get("blobFileTokens", ""))
    if token not in site.uploads or not _uploaded(site, token).is_file():
        raise RefusedError(400, "Unknown blob token")
    ref = stage.host.submit_file(slug, _uploaded(site, token), str(body.get("submissionDescription") or ""))
    return {"message": f"Successfully submitted to {stage.host.competition.title}", "ref": int(ref)}


def list_submissions(site: Site, body: Body) -> dict[str, Any]:
    """A page of all submissions."""
    slug, stage = site.stage(body, entered=True)
    told = [_submission(stage, one) for one in stage.host.fetch_submissions(slug)]
    return site.page(told, body, "submissions")


def get_submission(site: Site, body: Body) -> dict[str, Any]:
    """One submission; each look is counted, because some take a few looks to be scored."""
    for slug, stage in site.stages.items():
        for one in stage.host.fetch_submissions(slug):
            if one.ref == str(body.get("ref")):
                with site.guard:
                    stage.looks[one.ref] = stage.looks.get(one.ref, 0) + 1
                return _submission(stage, one)
    raise RefusedError(404, "Not found")


def _submission(stage: Stage, one: Submission) -> dict[str, Any]:
    told = {
        "ref": int(one.ref),
        "date": told_time(one.submitted),
        "description": one.message,
        "fileName": one.file_name,
        "status": one.status.name,
        "teamName": one.team,
        "submittedBy": one.team,
    }
    if stage.looks.get(one.ref, 0) <= stage.looks_until_scored and stage.looks_until_scored:
        return {**told, "status": "PENDING"}
    scores = {"publicScore": one.public, "privateScore": one.private}
    told |= {name: f"{score:.5f}" for name, score in scores.items() if score is not None}
    return told | ({"errorDescription": one.error} if one.error else {})


def get_limits(site: Site, body: Body) -> dict[str, Any]:
    """How many submissions were made today, and how many are left."""
    slug, stage = site.stage(body)
    limits = stage.host.fetch_limits(slug)
    total = len(stage.host.fetch_submissions(slug))
    used = limits.per_day - limits.left_today
    return {"numToday": used, "numTotal": total, "numAllowedNow": limits.left_today, "limitedByTotal": False}
