"""The service's answers about competitions, their data files, and datasets."""

from __future__ import annotations

from typing import Any

from runner.hosts.loopback.messages import Body, RefusedError, Reply, told_time
from runner.hosts.loopback.site import Site
from runner.hosts.loopback.store import redirect


def get_competition(site: Site, body: Body) -> dict[str, Any]:
    """What the service says of a competition."""
    slug, stage = site.stage(body)
    about = stage.host.fetch_about(slug)
    deadline = stage.deadline or about.deadline or site.now()
    return {
        "id": 1,
        "ref": f"https://www.kaggle.com/competitions/{slug}",
        "title": about.title,
        "url": f"https://www.kaggle.com/competitions/{slug}",
        "deadline": told_time(deadline),
        "userHasEntered": stage.entered,
        "maxDailySubmissions": stage.host.fetch_limits(slug).per_day,
        "evaluationMetric": stage.host.competition.metric.title,
        "isKernelsSubmissionsOnly": stage.notebooks_only,
        "submissionsDisabled": stage.disabled,
    }


def list_competitions(site: Site, body: Body) -> dict[str, Any]:
    """The competitions that a search finds."""
    words = str(body.get("search") or "").lower().split()
    found = [slug for slug in site.stages if not words or any(word in slug for word in words)]
    return {"competitions": [get_competition(site, {"competitionName": slug}) for slug in found]}


def list_data_files(site: Site, body: Body) -> dict[str, Any]:
    """A page of the data files."""
    slug, stage = site.stage(body, entered=True)
    files = [
        {"name": file.name, "ref": file.name, "totalBytes": file.size, "creationDate": told_time(site.now())}
        for file in stage.host.list_files(slug)
    ]
    return site.page(files, body, "files")


def download_data_file(site: Site, body: Body) -> Reply:
    """Where one file lies."""
    slug, stage = site.stage(body, entered=True)
    name = str(body.get("fileName", ""))
    if name not in {file.name for file in stage.host.list_files(slug)}:
        raise RefusedError(404, "Not found")
    return redirect(site, f"competitions/{slug}/{name}")


def download_data_files(site: Site, body: Body) -> Reply:
    """Where the archive of all files lies."""
    slug, _ = site.stage(body, entered=True)
    return redirect(site, f"bundles/{slug}.zip")


def get_dataset(site: Site, body: Body) -> dict[str, Any]:
    """What the service says of a dataset; refused where it is not offered."""
    name = f"{body.get('ownerSlug')}/{body.get('datasetSlug')}"
    if name not in site.datasets:
        raise RefusedError(403, "Permission 'datasets.get' was denied")
    return {"id": 1, "ref": name, "title": name, "totalBytes": site.datasets[name].stat().st_size}


def download_dataset(site: Site, body: Body) -> Reply:
    """Where the archive of a dataset lies."""
    get_dataset(site, body)
    return redirect(site, f"datasets/{body['ownerSlug']}/{body['datasetSlug']}.zip")
