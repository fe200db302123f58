"""Kaggle's JSON about datasets, kernels and quota as values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from runner.console import log
from runner.hosts.kaggle.parse import InvalidAnswerError, describe, parse_int, parse_time
from runner.hosts.notebooks import DatasetStatus, KernelState, KernelStatus, LogLine, OutputFile, PushedKernel, Quota

END_OF_LOG = "END_OF_LOG"

_MAX_TEXT = 20_000  # characters of a message or a line
_KERNEL_WORDS = {
    "queued": KernelStatus.QUEUED,
    "newscript": KernelStatus.QUEUED,
    "running": KernelStatus.RUNNING,
    "cancelrequested": KernelStatus.RUNNING,
    "complete": KernelStatus.COMPLETE,
    "error": KernelStatus.ERROR,
    "cancelacknowledged": KernelStatus.CANCELLED,
}


def parse_dataset_status(payload: dict[str, Any]) -> DatasetStatus:
    """Whether the newest version can be used, from GetDatasetStatus; every unknown word is a step on the way."""
    word = _letters(payload.get("status"))
    if word.endswith("ready"):
        return DatasetStatus.READY
    return DatasetStatus.FAILED if word.endswith(("failed", "deleted")) else DatasetStatus.PROCESSING


def parse_kernel_state(payload: dict[str, Any]) -> KernelState:
    """The session's state, from GetKernelSessionStatus; an unknown word is a session that goes on."""
    word = _letters(payload.get("status") or "queued")
    status = next((status for end, status in _KERNEL_WORDS.items() if word.endswith(end)), None)
    if status is None:
        log.debug(f"Kaggle sends the unknown kernel status {describe(payload.get('status'))}")
    return KernelState(status or KernelStatus.RUNNING, _text(payload.get("failureMessage")))


def parse_kernel(payload: dict[str, Any], ref: str) -> PushedKernel:
    """The newest version and its script, from GetKernel."""
    metadata, blob = payload.get("metadata"), payload.get("blob")
    metadata = metadata if isinstance(metadata, dict) else {}
    version = parse_int(metadata.get("currentVersionNumber"))
    source = blob.get("source") if isinstance(blob, dict) else None
    if version is None or version < 1 or not isinstance(source, str):
        raise InvalidAnswerError(f"no version of a kernel, but {describe(payload)}")
    return PushedKernel(ref, version, source=source, accelerator=_text(metadata.get("machineShape")))


def parse_pushed(payload: dict[str, Any], ref: str, source: str) -> PushedKernel:
    """The version that was pushed, from SaveKernel."""
    version = parse_int(payload.get("versionNumber"))
    if version is None or version < 1:
        raise InvalidAnswerError(f"no version number, but {describe(payload)}")
    return PushedKernel(ref, version, _text(payload.get("url")), source)


def push_error(payload: dict[str, Any]) -> str:
    """Why a kernel was not taken, from SaveKernel; empty if it was."""
    reasons = [_text(payload.get("error"))] if payload.get("error") else []
    for kind in ("Dataset", "Competition", "Kernel", "Model"):
        refs = payload.get(f"invalid{kind}Sources")
        if isinstance(refs, list) and refs:
            reasons.append(f"it cannot read the {kind.lower()} {', '.join(map(str, refs))[:300]}")
    return "; ".join(reasons)


def parse_output_file(item: Any) -> OutputFile:
    """An output file, from ListKernelSessionOutput; its name stays inside the folder that it is saved in."""
    name, url = (item.get("fileName"), item.get("url")) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidAnswerError(f"an output file that is {describe(item)}")
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise InvalidAnswerError(f"an output file named {describe(name)}")
    return OutputFile(name, url)


def parse_quota(payload: dict[str, Any]) -> Quota | None:
    """The GPU time of this week, from GetAcceleratorQuotaStatistics; None if it is not told."""
    gpu = payload.get("gpuQuota")
    if not isinstance(gpu, dict):
        return None
    used, allowed = (_seconds(gpu.get(name)) for name in ("timeUsed", "totalTimeAllowed"))
    if allowed is None:
        return None
    return Quota(used or timedelta(0), allowed, parse_time(payload.get("quotaRefreshTime")))


def parse_session_id(url: str) -> int | None:
    """The number of a session in the address that a push answers with; None if it has none."""
    match = re.search(r"[?&]scriptVersionId=(\d{1,18})\b", url)
    return int(match[1]) if match else None


def parse_log(lines: Iterable[str]) -> Iterator[LogLine]:
    """The log's lines: from events that come one by one, of which the last says that it is over, or from one JSON list.

    A ValueError if the events end without the last one: the connection broke off.
    """
    is_stream = False
    for line in lines:
        if line.startswith("data:"):
            is_stream = True
            content = line.removeprefix("data:").strip()
            if content == END_OF_LOG:
                return
            yield _log_line(_parsed(content))
        elif line.startswith("["):
            events = _parsed(line + "\n".join(lines))
            yield from map(_log_line, events if isinstance(events, list) else [events])
            return
    if is_stream:
        raise ValueError("the log broke off")


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {"data": content}


def _log_line(event: Any) -> LogLine:
    if not isinstance(event, dict):
        return LogLine(0.0, _text(event))
    seconds = event.get("time")
    known = float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 0.0
    return LogLine(known, _text(event.get("data")).rstrip("\n"), event.get("stream_name") == "stderr")


def _seconds(value: Any) -> timedelta | None:
    """A duration such as "151.500s"."""
    try:
        return timedelta(seconds=float(str(value).removesuffix("s")))
    except (ValueError, OverflowError):
        return None


def _letters(value: Any) -> str:
    return re.sub(r"[^a-z]", "", str(value).lower())


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")[:_MAX_TEXT]
