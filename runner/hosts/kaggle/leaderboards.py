"""Kaggle's leaderboards: downloaded whole, or paged through."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runner.console import log
from runner.errors import HostError
from runner.hosts.http.download import DownloadRequest
from runner.hosts.http.errors import RequestError
from runner.hosts.kaggle.answers import NEVER, score_of, time_of
from runner.hosts.kaggle.questions import KaggleApi
from runner.hosts.leaderboards import read_board
from runner.hosts.protocol import BoardRow, Leaderboard


class Leaderboards(KaggleApi):
    """What is asked about the public and the private board."""

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The whole board, best first: downloaded, or where that fails paged through."""
        if private:
            about = self.fetch_about(slug)
            if not about.is_over(self.now()):
                when = f"on {about.deadline:%Y-%m-%d}" if about.deadline else "when the competition ends"
                raise HostError(f"the private board opens {when}", fix=f"{self.again('standings')} --refresh, then")
            return self._page_board(slug, private=True)
        try:
            board = self._download_board(slug)
        except (RequestError, HostError, ValueError) as error:
            log.debug(f"the board cannot be downloaded ({type(error).__name__}); it is paged through instead")
            board = None
        return board or self._page_board(slug, private=False)

    def _download_board(self, slug: str) -> Leaderboard | None:
        """The board in Kaggle's zip; None where that is of the private one."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{slug}-board.zip"
            body = {"competitionName": slug}
            answer = self.wire.bytes_or_url("DownloadLeaderboard", body)
            if isinstance(answer, bytes):
                path.write_bytes(answer)
            else:
                urls = iter([answer])
                # The first URL is there already; a second is asked for only where a try goes wrong.
                order = DownloadRequest(
                    path.name, None, lambda: next(urls, None) or self.wire.locate("DownloadLeaderboard", body)
                )
                self.wire.fetch(order, path, lambda *_: None)
            name, rows = read_board(path)
        if "private" in name.lower():
            return None
        return self._ordered(rows, private=False)

    def _page_board(self, slug: str, *, private: bool) -> Leaderboard:
        body = {"competitionName": slug} | ({} if private else {"overridePublic": True})
        try:
            told = list(self.pages("GetLeaderboard", body, "submissions"))
        except RequestError as fault:
            self.refuse(fault, slug)
        rows = [
            BoardRow(
                str(one.get("teamName") or one.get("teamId") or ""), score, time_of(one.get("submissionDate")) or NEVER
            )
            for one in told
            if (score := score_of(one.get("score"))) is not None
        ]
        return self._ordered(rows, private=private)

    def _ordered(self, rows: list[BoardRow], *, private: bool) -> Leaderboard:
        sign = -1 if self.competition.metric.higher_is_better else 1
        return Leaderboard(tuple(sorted(rows, key=lambda row: (sign * row.score, row.submitted))), private)
