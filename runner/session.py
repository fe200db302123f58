"""One competition in one workspace, with its host and the machine: what every step of a command is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.console import log
from runner.contract import Competition
from runner.contract.labels import aliases
from runner.data.download import data_folder
from runner.data.folds import shared_folds_file
from runner.data.index import Index, build_index
from runner.data.source import is_rehearsal, redownload_command, redownload_words
from runner.errors import DataError
from runner.hosts.ledger import NOTEBOOK_SUFFIX
from runner.hosts.open_host import open_host
from runner.hosts.protocol import Host
from runner.options import Compute
from runner.problems import describe
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.workspace import Workspace


@dataclass(frozen=True)
class Session:
    """Built once by a command; the index and the sample submission are read once, when they are first needed."""

    competition: Competition
    workspace: Workspace
    host_name: str = "kaggle"
    compute: Compute = Compute()

    @property
    def name(self) -> str:
        return self.competition.name

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a user must know of the competition on Kaggle; its practice data is another."""
        return self.competition.cautions if self.host_name == "kaggle" else ()

    @cached_property
    def host(self) -> Host:
        """The host, opened when it is first needed: opening it may need an account."""
        remake = f"`{self.redownload_command}`" if is_rehearsal(self.workspace.data_dir(self.name)) else None
        return open_host(self.host_name, self.competition, self.workspace, remake=remake)

    @cached_property
    def index(self) -> Index:
        """The checked table of all images. Errors in the data raise; warnings are printed."""
        index = build_index(self.competition, data_folder(self.competition, self.workspace))
        if index.problems:
            log.warning(f"{self.name}: the data can be used, but:\n{describe(index.problems)}")
        return index

    @cached_property
    def submission_format(self) -> SubmissionFormat:
        """Ids, columns and cells of a submission, from the sample submission."""
        sample = self.sample_file
        try:
            return read_submission_format(self.competition, sample)
        except DataError as error:
            raise DataError(error.message, where=error.where, fix=self.redownload_command) from error

    @property
    def sample_file(self) -> Path:
        return data_folder(self.competition, self.workspace) / aliases(self.competition.sample_submission)[0]

    @property
    def folds_file(self) -> Path:
        """folds.csv that all runs share."""
        return shared_folds_file(self.workspace, self.competition)

    @property
    def cache_dir(self) -> Path:
        return self.workspace.cache_dir(self.name)

    @property
    def leaderboards_dir(self) -> Path:
        return self.workspace.leaderboards_dir(self.name)

    def submission_file(self, run_name: str) -> Path:
        return self.workspace.submissions_dir(self.name) / f"{run_name}.csv"

    def notebook_file(self, run_name: str) -> Path:
        """The script that predicts with a run where only notebooks may submit."""
        return self.workspace.submissions_dir(self.name) / f"{run_name}{NOTEBOOK_SUFFIX}"

    @property
    def redownload_command(self) -> str:
        """The command that replaces the data, from where it came: what every fix of damaged data names."""
        folder = self.workspace.data_dir(self.name)
        if is_rehearsal(folder):
            return redownload_command(folder)  # in the workspace that the rehearsal was asked for in
        return self.command(*redownload_words(folder))

    def command(self, *words: str) -> str:
        """A command about this competition as the user would type it, with its host."""
        return self.workspace.command_line(self.name, *words)
