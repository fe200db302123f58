"""A competition's data files on Kaggle: what there is, and bringing it."""

from __future__ import annotations

from pathlib import Path

from runner.console import Advance
from runner.hosts.http.download import DownloadRequest
from runner.hosts.http.errors import RequestError
from runner.hosts.kaggle.answers import int_of
from runner.hosts.kaggle.questions import KaggleApi
from runner.hosts.protocol import RemoteFile


class DataFiles(KaggleApi):
    """What is asked about the data files."""

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file, and where there are many one archive of them all."""
        try:
            told = list(self.pages("ListDataFiles", {"competitionName": slug}, "files"))
        except RequestError as fault:
            self.refuse(fault, slug)
        files = tuple(RemoteFile(str(one["name"]), int_of(one.get("totalBytes"))) for one in told if one.get("name"))
        if len(files) < 2 or any(file.name == f"{slug}.zip" for file in files):
            return files
        return (*files, RemoteFile(f"{slug}.zip", sum(file.size for file in files), bundle=True))

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring one file, whole and verified or not at all."""
        body = {"competitionName": slug} | ({} if file.bundle else {"fileName": file.name})
        method = "DownloadDataFiles" if file.bundle else "DownloadDataFile"

        def locate() -> str:
            try:
                return self.wire.locate(method, body)
            except RequestError as fault:
                self.refuse(fault, slug, file=file.name)

        self.wire.fetch(
            DownloadRequest(file.name, None if file.bundle else file.size, locate, self.again("download")),
            path,
            advance,
        )
