"""A public dataset on Kaggle that holds the same data as a competition."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from runner.console import Advance
from runner.errors import HostError
from runner.hosts.http.download import DownloadRequest
from runner.hosts.http.errors import RequestError
from runner.hosts.kaggle.answers import int_of
from runner.hosts.kaggle.host import KaggleHost
from runner.hosts.kaggle.wire import DATASETS, SITE
from runner.hosts.protocol import RemoteFile


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
            told = self._host.wire.ask("GetDataset", self._body, service=DATASETS)
        except RequestError as fault:
            self._refuse(fault, slug)
        return (RemoteFile(f"{self._body['datasetSlug']}.zip", int_of(told.get("totalBytes")), bundle=True),)

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring it, whole and verified or not at all."""

        def locate() -> str:
            try:
                return self._host.wire.locate("DownloadDataset", self._body, service=DATASETS)
            except RequestError as fault:
                self._refuse(fault, slug)

        again = f"runner {self._host.competition.name} download --mirror"
        self._host.wire.fetch(DownloadRequest(file.name, None, locate, again), path, advance)

    def _refuse(self, fault: RequestError, slug: str) -> NoReturn:
        if fault.status in (403, 404):
            raise HostError(
                f"there is no dataset {self._dataset} on Kaggle, or not for you",
                where=f"{SITE}/datasets/{self._dataset}",
                fix=f"runner {self._host.competition.name} download --from DIR",
            ) from None
        self._host.refuse(fault, slug, knows_of_rules=False)
