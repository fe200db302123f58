"""Kaggle's datasets, kernels and code submissions. What is sent is sent once: after a lost answer it is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runner.commands import TYPED
from runner.console import Advance, log
from runner.errors import HostError
from runner.hosts.http.download import DownloadRequest
from runner.hosts.http.errors import RequestError
from runner.hosts.http.upload import Upload, upload_file
from runner.hosts.kaggle.client import BLOBS, DATASETS, KERNELS
from runner.hosts.kaggle.errors import ErrorContext, host_error
from runner.hosts.kaggle.host import SEARCH_DELAYS, KaggleHost, may_have_arrived, parse_upload
from runner.hosts.kaggle.parse import SITE, InvalidAnswerError, describe, parse_ref
from runner.hosts.kaggle.parse_notebooks import (
    parse_dataset_status,
    parse_kernel,
    parse_kernel_state,
    parse_log,
    parse_output_file,
    parse_pushed,
    parse_quota,
    parse_session_id,
    push_error,
)
from runner.hosts.notebooks import (
    BusyDatasetError,
    Dataset,
    DatasetStatus,
    Kernel,
    KernelState,
    LogLine,
    OutputFile,
    PushedKernel,
    Quota,
    QuotaError,
    is_same_script,
)
from runner.hosts.protocol import UnconfirmedError

# Broken connections to a log in a row, without a new line between them, after which it is no longer followed.
_MAX_BREAKS = 5
_RECONNECT_DELAY = 2.0
_MAX_OUTPUT = 20 << 30  # bytes that a session may write

Found = TypeVar("Found")


class KaggleNotebooks:
    """Kaggle's notebooks, with the account and the connection of a host."""

    def __init__(self, host: KaggleHost):
        self._host, self._client = host, host.client

    def fetch_username(self) -> str:
        """The account's name."""
        return self._client.username(self._context())

    def fetch_quota(self) -> Quota | None:
        """The GPU time of this week."""
        return self._client.call("GetAcceleratorQuotaStatistics", {}, self._context(), parse_quota, service=KERNELS)

    # --- datasets --------------------------------------------------------------------------------

    def fetch_dataset(self, ref: str) -> Dataset | None:
        """The dataset's newest version, with its files if it is ready."""
        body = self._dataset_body(ref)
        try:
            status = parse_dataset_status(self._client.request("GetDatasetStatus", body, service=DATASETS))
        except RequestError as error:
            if error.status in (403, 404):  # Kaggle tells neither of the two from the other
                return None
            raise host_error(error, self._context(dataset=ref), self._client) from None
        if status is not DatasetStatus.READY:
            return Dataset(ref, status)
        context = self._context(dataset=ref)
        files = self._client.pages("ListDatasetFiles", body, "datasetFiles", context, _file_name, service=DATASETS)
        return Dataset(ref, status, tuple(files))

    def create_dataset(self, ref: str, title: str, files: Sequence[Path]) -> None:
        """Upload files as a new private dataset."""
        body = {
            "ownerSlug": ref.partition("/")[0],
            "slug": ref.partition("/")[2],
            "title": title,
            "licenseName": "unknown",
            "isPrivate": True,
            "files": self._upload_all(files),
        }
        self._send_dataset("CreateDataset", body, ref, lambda: self.fetch_dataset(ref))

    def update_dataset(self, ref: str, note: str, files: Sequence[Path]) -> None:
        """Upload files as the next version."""
        content = {"versionNotes": note, "files": self._upload_all(files), "deleteOldVersions": False}
        names = {path.name for path in files}

        def find() -> Dataset | None:
            known = self.fetch_dataset(ref)
            # While it is processed the files cannot be listed: that it is processed says that it has arrived.
            has_arrived = known and (known.status is not DatasetStatus.READY or names <= set(known.files))
            return known if has_arrived else None

        self._send_dataset("CreateDatasetVersion", {**self._dataset_body(ref), "body": content}, ref, find)

    def _send_dataset(self, method: str, body: dict[str, Any], ref: str, find: Callable[[], Dataset | None]) -> None:
        def send() -> Dataset:
            try:
                payload = self._client.request(method, body, service=DATASETS, once=True)
            except RequestError as error:
                if error.status == 403 and method == "CreateDatasetVersion":
                    raise BusyDatasetError(
                        f"Kaggle is still processing the last version of {ref}",
                        where=f"{SITE}/datasets/{ref}",
                        fix=f"wait some minutes, then: `{TYPED}`",
                    ) from None
                raise
            if payload.get("error") or str(payload.get("status") or "ok").lower() == "error":
                raise HostError(
                    f"Kaggle refuses the dataset {ref}: {describe(payload.get('error'))}",
                    where=f"{SITE}/datasets/{ref}",
                    fix=f"look at that page, then: `{TYPED}`",
                )
            return Dataset(ref, DatasetStatus.PROCESSING)

        self._once(send, find, self._context(dataset=ref), f"the dataset {ref}", f"{SITE}/datasets/{ref}")

    def _upload_all(self, files: Sequence[Path]) -> list[dict[str, str]]:
        return [{"token": self._upload(path)} for path in files]

    def _upload(self, path: Path) -> str:
        context = self._context()

        def begin() -> Upload:
            status = path.stat()
            body = {
                "type": "DATASET",
                "name": path.name,
                "contentLength": status.st_size,
                "lastModifiedEpochSeconds": int(status.st_mtime),
            }
            return self._client.call("StartBlobUpload", body, context, parse_upload, service=BLOBS)

        try:
            return upload_file(begin, path, self._client.policy, self._client.limits).token
        except RequestError as error:
            raise host_error(error, context, self._client) from None

    def _dataset_body(self, ref: str) -> dict[str, str]:
        owner, _, slug = ref.partition("/")
        return {"ownerSlug": owner, "datasetSlug": slug}

    # --- kernels ---------------------------------------------------------------------------------

    def push_kernel(self, kernel: Kernel) -> PushedKernel:
        """Save a version of a private kernel and run it."""
        before = self.find_kernel(kernel.ref)
        context, page = self._context(), f"{SITE}/code/{kernel.ref}"

        def send() -> PushedKernel:
            payload = self._client.request("SaveKernel", _push_body(kernel), service=KERNELS, once=True)
            if reason := push_error(payload):
                kind = QuotaError if "quota" in reason.lower() else HostError
                raise kind(
                    f"Kaggle does not take the kernel {kernel.ref}: {reason}",
                    where=page,
                    fix=f"correct that on Kaggle, then: `{TYPED}`",
                )
            return parse_pushed(payload, kernel.ref, kernel.source)

        def find() -> PushedKernel | None:
            known = self.find_kernel(kernel.ref)
            is_new = (
                known
                and is_same_script(known.source, kernel.source)
                and (before is None or known.version > before.version)
            )
            return known if is_new else None

        return self._once(send, find, context, f"the kernel {kernel.ref}", page)

    def find_kernel(self, ref: str) -> PushedKernel | None:
        """The newest version with its script."""
        try:
            payload = self._client.request("GetKernel", self._kernel_body(ref), service=KERNELS)
        except RequestError as error:
            if error.status in (403, 404):
                return None
            raise host_error(error, self._context(kernel=ref), self._client) from None
        try:
            return parse_kernel(payload, ref)
        except InvalidAnswerError as error:
            raise HostError(f"Kaggle sent an invalid response to GetKernel: {error}", fix="runner doctor") from None

    def fetch_kernel_state(self, ref: str) -> KernelState:
        """How far the newest version's session is."""
        body, context = self._kernel_body(ref), self._context(kernel=ref)
        return self._client.call("GetKernelSessionStatus", body, context, parse_kernel_state, service=KERNELS)

    def follow_log(self, ref: str) -> Iterator[LogLine]:
        """The log from its first line; a connection that breaks off is opened again, and old lines are left out."""
        told, breaks = 0, 0
        while True:
            at_start = told
            try:
                for number, line in enumerate(parse_log(self._client.stream(f"kernels/logs/stream/{ref}"))):
                    if number >= told:
                        told += 1
                        yield line
                return
            except (RequestError, ValueError) as error:
                breaks = 0 if told > at_start else breaks + 1
                is_final = isinstance(error, RequestError) and not error.retryable
                if is_final or breaks >= _MAX_BREAKS:
                    log.info(f"the log of {ref} cannot be followed ({error}); its state is asked for instead")
                    return
                self._client.policy.sleep(_RECONNECT_DELAY)

    def list_outputs(self, ref: str) -> tuple[OutputFile, ...]:
        """The files that the newest version's session has written."""
        body, context = self._kernel_body(ref), self._context(kernel=ref)
        listed = self._client.pages(
            "ListKernelSessionOutput", body, "files", context, parse_output_file, service=KERNELS
        )
        return tuple({file.name: file for file in listed}.values())

    def download_output(self, ref: str, file: OutputFile, path: Path, advance: Advance) -> None:
        """Download one of them; a URL that has expired is asked for again."""
        urls = iter([file.url])

        def get_url() -> str:
            if url := next(urls, None):
                return url
            fresh = next((known.url for known in self.list_outputs(ref) if known.name == file.name), None)
            if fresh is None:
                raise HostError(f"{ref} no longer has the output {file.name}", where=f"{SITE}/code/{ref}")
            return fresh

        request = DownloadRequest(file.name, None, get_url, max_size=_MAX_OUTPUT)
        self._client.download(request, path, advance)

    def cancel_kernel(self, pushed: PushedKernel) -> None:
        """End the session that the push named; HostError if it named none."""
        session = parse_session_id(pushed.url)
        page = f"{SITE}/code/{pushed.ref}"
        if session is None:
            raise HostError(
                f"Kaggle did not say which session runs {pushed.ref}",
                where=page,
                fix="open that page in a browser, and stop the session there",
            )
        body, context = {"kernelSessionId": session}, self._context(kernel=pushed.ref)
        reason = self._client.call(
            "CancelKernelSession", body, context, lambda payload: payload.get("errorMessage"), service=KERNELS
        )
        if reason:
            raise HostError(f"Kaggle does not end the session: {describe(reason)}", where=page)

    def submit_kernel(self, slug: str, pushed: PushedKernel, file_name: str, message: str) -> str:
        """Have a version rerun on the hidden test set; never sent twice: after a lost answer it is searched for."""
        owner, _, kernel = pushed.ref.partition("/")
        before = {submission.ref for submission in self._host.fetch_submissions(slug)}
        body = {
            "competitionName": slug,
            "kernelOwner": owner,
            "kernelSlug": kernel,
            "kernelVersion": pushed.version,
            "fileName": file_name,
            "submissionDescription": message,
        }
        try:
            payload = self._client.request("CreateCodeSubmission", body, once=True)
            return parse_ref(payload.get("ref"))
        except RequestError as error:
            if not may_have_arrived(error):
                raise host_error(error, self._context(slug=slug), self._client) from None
            reason = error.message
        except InvalidAnswerError:
            reason = f"Kaggle returned no submission id, but {describe(payload)}"
        return self._host.find_new_submission(slug, message, before, reason)

    # --- one call --------------------------------------------------------------------------------

    def _once(
        self, send: Callable[[], Found], find: Callable[[], Found | None], context: ErrorContext, what: str, page: str
    ) -> Found:
        """What `send` returns; after a lost answer what `find` finds, else an UnconfirmedError. It is sent once."""
        try:
            return send()
        except RequestError as error:
            if not may_have_arrived(error):
                raise host_error(error, context, self._client) from None
            reason = error.message
        except InvalidAnswerError as error:
            reason = f"Kaggle sent an invalid response: {error}"
        for delay in SEARCH_DELAYS:
            self._client.policy.sleep(delay)
            try:
                if (found := find()) is not None:
                    return found
            except HostError:
                continue
        raise UnconfirmedError(
            f"it is unknown whether Kaggle has {what}: {reason}",
            where=page,
            fix=f"what has arrived is not sent again: `{TYPED}`",
        )

    def _kernel_body(self, ref: str) -> dict[str, str]:
        owner, _, slug = ref.partition("/")
        return {"userName": owner, "kernelSlug": slug}

    def _context(self, *, slug: str = "", dataset: str = "", kernel: str = "") -> ErrorContext:
        competition = self._host.competition
        return ErrorContext(
            competition, slug or competition.slug, dataset=dataset, kernel=kernel, check_rules=bool(slug)
        )


def _push_body(kernel: Kernel) -> dict[str, Any]:
    """SaveKernel's fields; each that has a default on the service is written, because `internet` would be on."""
    return {
        "slug": kernel.ref,
        "newTitle": kernel.title,
        "text": kernel.source,
        "language": "python",
        "kernelType": "script",
        "isPrivate": True,
        "enableGpu": bool(kernel.accelerator),
        "enableTpu": False,
        "enableInternet": kernel.internet,
        "datasetDataSources": list(kernel.datasets),
        "competitionDataSources": [kernel.competition] if kernel.competition else [],
        "kernelDataSources": [],
        "modelDataSources": [],
        "categoryIds": [],
        "sessionTimeoutSeconds": kernel.timeout,
        **({"machineShape": kernel.accelerator} if kernel.accelerator else {}),
    }


def _file_name(item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidAnswerError(f"a dataset file without a name: {describe(item)}")
    return name
