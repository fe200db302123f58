"""The service's answers about the boards."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

from runner.hosts.loopback.messages import Body, Reply, told_time
from runner.hosts.loopback.site import Site, Stage


def download_leaderboard(site: Site, body: Body) -> Reply:
    """The whole public board, as CSV in a zip."""
    slug, stage = site.stage(body)
    rows = _board_rows(stage, slug, private=False)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["teamId", "teamName", "submissionDate", "score"], extrasaction="ignore")
    writer.writerow({name: name[0].upper() + name[1:] for name in writer.fieldnames})
    writer.writerows(rows)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{slug}-publicleaderboard.csv", "\ufeff" + text.getvalue())
    return Reply(headers={"Content-Type": "application/zip"}, content=content.getvalue())


def get_leaderboard(site: Site, body: Body) -> dict[str, Any]:
    """A page of the board that is open now: the private one once the competition is over."""
    slug, stage = site.stage(body)
    about = stage.host.fetch_about(slug)
    over = (stage.deadline or about.deadline or site.now()) <= site.now()
    private = over and not body.get("overridePublic")
    return site.page(_board_rows(stage, slug, private=private), body, "submissions")


def _board_rows(stage: Stage, slug: str, *, private: bool) -> list[dict[str, Any]]:
    board = stage.host.fetch_leaderboard(slug, private=private)
    return [
        {"teamId": place, "teamName": row.team, "submissionDate": told_time(row.submitted), "score": repr(row.score)}
        for place, row in enumerate(board.rows, start=1)
    ]
