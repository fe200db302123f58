"""The API's datasets, kernels and code submissions, in front of practice notebooks that are really run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.hosts.notebooks import Kernel, KernelStatus, QuotaError
from runner.hosts.practice_notebooks import read_log
from tests.kaggle_server.state import USERNAME, Body, RefusedError, Reply, ServerState, kaggle_time
from tests.kaggle_server.store import STORE, signed_url, uploaded_file

_KERNEL_WORDS = {
    KernelStatus.QUEUED: "QUEUED",
    KernelStatus.RUNNING: "RUNNING",
    KernelStatus.COMPLETE: "COMPLETE",
    KernelStatus.ERROR: "ERROR",
    KernelStatus.CANCELLED: "CANCEL_ACKNOWLEDGED",
}


def _owned(body: Body, owner_key: str, slug_key: str) -> str:
    """The slug of something of this account's; everything else is hidden from it."""
    if str(body.get(owner_key, "")) != USERNAME:
        raise RefusedError(403, "Permission denied")
    return str(body.get(slug_key, ""))


# --- datasets ------------------------------------------------------------------------------------


def start_blob_upload(state: ServerState, body: Body) -> dict[str, Any]:
    """A token and a URL for one file."""
    with state.lock:
        token = f"blob-{len(state.uploads) + 1}"
        state.uploads[token] = str(body.get("name") or "file")
    return {"token": token, "createUrl": f"{STORE}/upload/{token}"}


def _uploaded(state: ServerState, body: Body) -> list[Path]:
    tokens = [str(file.get("token", "")) for file in body.get("files") or []]
    for token in tokens:
        if token not in state.uploads or not uploaded_file(state, token).is_file():
            raise RefusedError(400, f"Unknown blob token {token}")
    if not tokens:
        raise RefusedError(400, "A dataset needs at least one file")
    return [uploaded_file(state, token) for token in tokens]


def create_dataset(state: ServerState, body: Body) -> dict[str, Any]:
    """A new dataset; its files are processed for a while."""
    slug = _owned(body, "ownerSlug", "slug")
    ref, title = f"{USERNAME}/{slug}", str(body.get("title") or "")
    if not 6 <= len(slug) <= 50 or not 6 <= len(title) <= 50:
        return {"status": "error", "error": "The slug and the title must be between 6 and 50 characters"}
    if state.notebooks.fetch_dataset(ref) is not None:
        return {"status": "error", "error": f'The requested slug "{slug}" is already in use by a dataset.'}
    if not body.get("isPrivate"):
        raise RefusedError(400, "a test never publishes anything")
    state.notebooks.create_dataset(ref, title, _uploaded(state, body))
    state.processing[ref] = state.notebook_faults.processing_polls
    return {"ref": f"/{ref}", "url": f"https://www.kaggle.com/datasets/{ref}", "status": "ok"}


def create_dataset_version(state: ServerState, body: Body) -> dict[str, Any]:
    """A new version; refused while the last one is processed."""
    ref = f"{USERNAME}/{_owned(body, 'ownerSlug', 'datasetSlug')}"
    if state.notebooks.fetch_dataset(ref) is None:
        raise RefusedError(404, "Not found")
    if state.processing.get(ref, 0) > 0:
        raise RefusedError(403, "Permission 'datasets.update' was denied")
    content = body.get("body") or {}
    state.notebooks.update_dataset(ref, str(content.get("versionNotes") or ""), _uploaded(state, content))
    state.processing[ref] = state.notebook_faults.processing_polls
    return {"ref": f"/{ref}", "url": f"https://www.kaggle.com/datasets/{ref}", "status": "ok"}


def get_dataset_status(state: ServerState, body: Body) -> dict[str, Any]:
    """Whether the newest version is ready; each call brings it nearer to that."""
    ref = f"{USERNAME}/{_owned(body, 'ownerSlug', 'datasetSlug')}"
    if state.notebooks.fetch_dataset(ref) is None:
        raise RefusedError(404, "Not found")
    with state.lock:
        left = state.processing.get(ref, 0)
        state.processing[ref] = max(left - 1, 0)
    return {"status": "BLOBS_RECEIVED" if left else "READY"}


def list_dataset_files(state: ServerState, body: Body) -> dict[str, Any]:
    """The files of the newest version, a page at a time."""
    ref = f"{USERNAME}/{_owned(body, 'ownerSlug', 'datasetSlug')}"
    if state.notebooks.fetch_dataset(ref) is None:
        raise RefusedError(404, "Not found")
    folder = state.notebooks.dataset_files(ref)
    files = [{"name": path.name, "totalBytes": path.stat().st_size} for path in sorted(folder.iterdir())]
    return state.page(files, body, "datasetFiles")


# --- kernels -------------------------------------------------------------------------------------


def save_kernel(state: ServerState, body: Body) -> dict[str, Any]:
    """Save a version, and run it."""
    owner, _, slug = str(body.get("slug") or "").partition("/")
    if owner != USERNAME or not 5 <= len(slug) <= 50:
        raise RefusedError(403, "Permission 'kernels.update' was denied")
    if not body.get("isPrivate"):
        raise RefusedError(400, "a test never publishes anything")
    kernel = _kernel_from(body)
    invalid = _invalid_sources(state, kernel)
    if invalid:
        return {"error": "a source is not valid", **invalid}
    try:
        pushed = state.notebooks.push_kernel(kernel)
    except QuotaError:
        hours = state.notebooks.limits.quota.allowed.total_seconds() / 3600
        return {"error": f"Maximum weekly GPU quota of {hours:.2f} hours has been reached."}
    with state.lock:
        state.sessions.numbers.append((slug, pushed.version))
        session = 1000 + len(state.sessions.numbers)
    state.sessions.start(lambda: state.notebooks.run(slug, pushed.version))
    url = f"https://www.kaggle.com/code/{kernel.ref}?scriptVersionId={session}"
    return {"ref": f"/code/{kernel.ref}", "url": url, "versionNumber": pushed.version, "kernelId": 7}


def _kernel_from(body: Body) -> Kernel:
    if body.get("kernelType") != "script" or body.get("language") != "python":
        raise RefusedError(400, "only Python scripts run here")
    return Kernel(
        ref=str(body["slug"]),
        title=str(body.get("newTitle") or ""),
        source=str(body.get("text") or ""),
        competition=next(iter(body.get("competitionDataSources") or []), ""),
        datasets=tuple(body.get("datasetDataSources") or []),
        accelerator=str(body.get("machineShape") or "") if body.get("enableGpu") else "",
        internet=bool(body.get("enableInternet", True)),
        timeout=int(body.get("sessionTimeoutSeconds") or 12 * 3600),
    )


def _invalid_sources(state: ServerState, kernel: Kernel) -> dict[str, Any]:
    datasets = [ref for ref in kernel.datasets if state.notebooks.fetch_dataset(ref) is None]
    joined = {slug for slug, hosted in state.competitions.items() if hosted.rules_accepted}
    competitions = [slug for slug in [kernel.competition] if slug and slug not in joined]
    invalid = {"invalidDatasetSources": datasets, "invalidCompetitionSources": competitions}
    return {name: refs for name, refs in invalid.items() if refs}


def get_kernel(state: ServerState, body: Body) -> dict[str, Any]:
    """The newest version: its script and its number."""
    ref = f"{USERNAME}/{_owned(body, 'userName', 'kernelSlug')}"
    found = state.notebooks.find_kernel(ref)
    if found is None:
        raise RefusedError(404, "Not found")
    metadata: dict[str, Any] = {"id": 7, "ref": ref, "currentVersionNumber": found.version, "isPrivate": True}
    if state.notebook_faults.shape_told:
        metadata["machineShape"] = state.notebook_faults.shape_told
    return {"metadata": metadata, "blob": {"source": found.source, "language": "python", "kernelType": "script"}}


def get_kernel_session_status(state: ServerState, body: Body) -> dict[str, Any]:
    """The state of the newest version's session."""
    kernel = state.notebooks.fetch_kernel_state(f"{USERNAME}/{_kernel_slug(state, body)}")
    failure = {"failureMessage": kernel.failure} if kernel.failure else {}
    return {"status": _KERNEL_WORDS[kernel.status], **failure}


def list_kernel_session_output(state: ServerState, body: Body) -> dict[str, Any]:
    """The output files by signed URLs, a page at a time, and the log on the first."""
    slug = _kernel_slug(state, body)
    number = state.notebook_faults.outputs_of or _newest(state, slug)
    files = [
        {"fileName": name, "url": signed_url(state, f"outputs/{slug}/v{number}/{name}")}
        for name in sorted(state.notebooks.output_files(slug, number))
    ]
    page = state.page(files, {"pageSize": 20, **body}, "files", limit=state.notebook_faults.page_limit)
    return page if body.get("pageToken") else {**page, "log": json.dumps(list(_log_events(state, slug)))}


def stream_log(state: ServerState, body: Body) -> Reply:
    """The log from its first line: as events while the session runs, as one file after it."""
    slug = _kernel_slug(state, body)
    if state.notebooks.fetch_kernel_state(f"{USERNAME}/{slug}").status.is_over:
        content = json.dumps(list(_log_events(state, slug))).encode()
        return Reply(headers={"Content-Type": "application/json"}, content=content)
    return Reply(headers={"Content-Type": "text/event-stream"}, stream=lambda: _live_events(state, slug))


def _live_events(state: ServerState, slug: str) -> Iterator[bytes]:
    told, waiting = 0, threading.Event()
    while True:
        is_over = state.notebooks.fetch_kernel_state(f"{USERNAME}/{slug}").status.is_over
        events = list(_log_events(state, slug))
        for event in events[told:]:
            yield b"data: " + json.dumps(event).encode() + b"\n\n"
        told = len(events)
        if is_over:
            yield b"data: END_OF_LOG\n\n"
            return
        waiting.wait(0.02)


def _log_events(state: ServerState, slug: str) -> Iterator[dict[str, Any]]:
    path = state.notebooks.folder / "kernels" / slug / f"v{_newest(state, slug)}" / "log.jsonl"
    for line in read_log(path):
        stream = "stderr" if line.is_error else "stdout"
        yield {"stream_name": stream, "time": line.seconds, "data": line.text + "\n"}


def cancel_kernel_session(state: ServerState, body: Body) -> dict[str, Any]:
    """End a session by its number."""
    number = int(body.get("kernelSessionId") or 0) - 1001
    if not 0 <= number < len(state.sessions.numbers):
        return {"errorMessage": "there is no such session"}
    slug, version = state.sessions.numbers[number]
    pushed = state.notebooks.find_kernel(f"{USERNAME}/{slug}")
    assert pushed is not None and pushed.version == version
    state.notebooks.cancel_kernel(pushed)
    return {}


def get_quota(state: ServerState, body: Body) -> dict[str, Any]:
    """The accelerator hours of this week."""
    quota = state.notebooks.limits.quota

    def seconds(time: timedelta) -> str:
        return f"{time.total_seconds():.0f}s"

    gpu = {"timeUsed": seconds(quota.used), "totalTimeAllowed": seconds(quota.allowed), "timeReserved": "0s"}
    return {"quotaRefreshTime": kaggle_time(state.now() + timedelta(days=3)), "gpuQuota": gpu}


def _kernel_slug(state: ServerState, body: Body) -> str:
    """The slug of a kernel; another version than the newest is refused, as such requests are not made here."""
    slug = _owned(body, "userName", "kernelSlug")
    if not _newest(state, slug):
        raise RefusedError(404, "Not found")
    label = str(body.get("versionLabel") or "")
    if label and label != f"v{_newest(state, slug)}":
        raise RefusedError(404, "Not found")
    return slug


def _newest(state: ServerState, slug: str) -> int:
    found = state.notebooks.find_kernel(f"{USERNAME}/{slug}")
    return found.version if found else 0


# --- code submissions ----------------------------------------------------------------------------


def create_code_submission(state: ServerState, body: Body) -> dict[str, Any]:
    """Rerun a version on the hidden test set, and score its file."""
    slug, hosted = state.competition(body, joined=True)
    if not (hosted.notebooks_only or hosted.host.fetch_info(slug).notebooks_only):
        raise RefusedError(400, "Submission not allowed: this competition does not accept notebooks")
    kernel = _owned(body, "kernelOwner", "kernelSlug")
    pushed = state.notebooks.find_kernel(f"{USERNAME}/{kernel}")
    if pushed is None or body.get("kernelVersion") not in (None, pushed.version):
        raise RefusedError(404, "Not found")
    message = str(body.get("submissionDescription") or "")
    ref = state.notebooks.submit_kernel(slug, pushed, str(body.get("fileName") or ""), message)
    state.sessions.start(state.notebooks.run_reruns)
    return {"message": f"Successfully submitted to {hosted.host.competition.title}", "ref": int(ref)}


METHODS: dict[str, Callable[[ServerState, Body], dict[str, Any] | Reply]] = {
    "StartBlobUpload": start_blob_upload,
    "CreateDataset": create_dataset,
    "CreateDatasetVersion": create_dataset_version,
    "GetDatasetStatus": get_dataset_status,
    "ListDatasetFiles": list_dataset_files,
    "SaveKernel": save_kernel,
    "GetKernel": get_kernel,
    "GetKernelSessionStatus": get_kernel_session_status,
    "ListKernelSessionOutput": list_kernel_session_output,
    "GetKernelSessionLogsStream": stream_log,
    "CancelKernelSession": cancel_kernel_session,
    "GetAcceleratorQuotaStatistics": get_quota,
    "CreateCodeSubmission": create_code_submission,
}
