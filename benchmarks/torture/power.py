"""Power loss: what was not synced when a command was cut off, or had just ended, is lost or was never ordered.

A journal in the child notes every change of a name and every fsync. Afterwards the disk is put back as a file system
may leave it: changes of names that no fsync of their folder has made durable are undone from some moment on, and a
file that was written after its last fsync is whole, empty, cut or full of zeros. Then the command is called again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import differences, read_json
from benchmarks.torture.kills import prepare
from benchmarks.torture.process import Interruption
from benchmarks.torture.worlds import STEPS, copy_world

Stamp = tuple[int, int, int]  # inode, size, time of the last change

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Journal:
    """Notes what a process does to the names in a folder, and which of its files it syncs."""

    def __init__(self, folder: Path, journal: Path) -> None:
        self.folder, self.journal = str(folder), journal
        self._file = -1
        self._busy = False
        self._backups = 0

    def start(self) -> None:
        """Note everything from now on, in this process."""
        self.journal.mkdir()
        self._file = os.open(self.journal / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        fsync, sync = os.fsync, os.sync
        os.fsync = lambda file: self._fsync(fsync, file)
        os.fdatasync = lambda file: self._fsync(fsync, file)
        os.sync = lambda: (sync(), self._note(kind="sync"))  # type: ignore[assignment,func-returns-value]
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self._note_event(event, arguments)
        finally:
            self._busy = False

    def _note_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            source, target = self._path(arguments[0]), self._path(arguments[1])
            if target:
                self._note(kind="rename", path=target, source=source, backup=self._backup(target))
        elif event in ("os.remove", "os.rmdir"):
            path = self._path(arguments[0], arguments[1])
            if path and os.path.lexists(path):
                self._note(kind="remove", path=path, backup=self._backup(path))
        elif event == "os.mkdir" or (event == "open" and _writes(arguments[2])):
            path = self._path(arguments[0], arguments[2] if event == "os.mkdir" else -1)
            if path and not os.path.lexists(path):
                self._note(kind="create", path=path)

    def _path(self, name: Any, folder: Any = -1) -> str | None:
        """The absolute path, if it is in the folder that is watched."""
        if isinstance(name, int) or name is None:
            return None
        text = os.fsdecode(name)
        if isinstance(folder, int) and folder >= 0:
            text = str(_opened(folder) / text)
        text = os.path.abspath(text)  # noqa: PTH100
        return text if text.startswith(self.folder + "/") else None

    def _backup(self, path: str) -> str | None:
        """A second name for the file that is about to lose this one."""
        if not os.path.lexists(path) or stat.S_ISDIR(os.lstat(path).st_mode):
            return None
        self._backups += 1
        backup = f"{self.journal}/{self._backups}"
        os.link(path, backup, follow_symlinks=False)
        return backup

    def _fsync(self, fsync: Callable[[int], None], file: int) -> None:
        fsync(file)
        status = os.fstat(file)
        self._note(kind="fsync", path=str(_opened(file)), stamp=_stamp(status), folder=stat.S_ISDIR(status.st_mode))

    def _note(self, **entry: Any) -> None:
        os.write(self._file, (json.dumps(entry) + "\n").encode())


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & _WRITE_FLAGS)


def _opened(file: int) -> Path:
    """The path of an open file."""
    return Path(f"/proc/self/fd/{file}").readlink()


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def stamps(folder: Path) -> set[Stamp]:
    """The stamps of all files: what is on the disk before the command begins."""
    return {_stamp(path.lstat()) for path in folder.rglob("*") if path.is_file()}


def lose_power(folder: Path, journal: Path, durable: set[Stamp], chance: random.Random) -> list[str]:
    """Put the folder back to what a power loss may leave; what was lost."""
    entries = [json.loads(line) for line in (journal / "journal.jsonl").read_text().splitlines()]
    durable = durable | {tuple(entry["stamp"]) for entry in entries if entry["kind"] == "fsync"}
    if any(entry["kind"] == "sync" for entry in entries):
        last = max(number for number, entry in enumerate(entries) if entry["kind"] == "sync")
        entries = entries[last + 1 :]
        durable |= stamps(folder)  # what was written after it is taken for durable, too: a little too kind
    lost = [_spoil(path, chance) for path in sorted(folder.rglob("*")) if _is_at_risk(path, durable)]
    return [text for text in lost if text] + _undo_names(entries, chance)


def _is_at_risk(path: Path, durable: set[Stamp]) -> bool:
    status = path.lstat()
    is_result = stat.S_ISREG(status.st_mode) and not path.name.endswith("lock") and not path.name.startswith(".output")
    return is_result and _stamp(status) not in durable


def _spoil(path: Path, chance: random.Random) -> str | None:
    """Let the file's content be what was not written in time."""
    content = path.read_bytes()
    spoilt = chance.choice((content, b"", bytes(len(content)), content[: len(content) // 2]))
    if spoilt == content:
        return None
    path.write_bytes(spoilt)
    return f"the content of {path.name}"


def _undo_names(entries: list[dict[str, Any]], chance: random.Random) -> list[str]:
    """Undo the changes of names after a random moment: a journal of a file system keeps their order."""
    changes = [entry for entry in entries if entry["kind"] in ("rename", "remove", "create")]
    kept = 0
    for number, entry in enumerate(entries):
        if entry["kind"] == "fsync" and entry["folder"]:
            done = [one for one in entries[:number] if one["kind"] in ("rename", "remove", "create")]
            durable = [place for place, one in enumerate(done) if os.path.dirname(one["path"]) == entry["path"]]  # noqa: PTH120
            kept = max([kept, *(place + 1 for place in durable)])
    cut = chance.randint(kept, len(changes))
    undone = [entry for entry in reversed(changes[cut:]) if _undo(entry)]
    return [f"{entry['kind']} of {Path(entry['path']).name}" for entry in undone]


def _undo(entry: dict[str, Any]) -> bool:
    path = Path(entry["path"])
    if entry["kind"] == "rename":
        if not os.path.lexists(path):
            return False
        if entry["source"]:
            Path(entry["source"]).parent.mkdir(parents=True, exist_ok=True)
            path.rename(entry["source"])
        else:
            _remove(path)
    elif entry["kind"] == "create":
        _remove(path)
        return True
    if entry["backup"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(entry["backup"], path, follow_symlinks=False)
    elif entry["kind"] == "remove":
        path.mkdir(parents=True, exist_ok=True)
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run(trial: Trial) -> None:
    """Cut a command off, or let it end; lose the power; call it again and compare."""
    lengths = read_json(trial.prepared / "lengths.json")
    step = trial.random.choice([step for step in STEPS if lengths.get(step.name, (0, 0))[1]])
    _, changes = lengths[step.name]
    workspace, journal = trial.folder / "workspace", trial.folder / "journal"
    copy_world(trial.prepared / "before" / step.name, workspace)
    durable = stamps(workspace)
    ends = trial.random.random() < 0.3
    cut = None if ends else Interruption(change=trial.random.randint(1, changes))
    watch = Journal(workspace, journal)

    def before() -> None:
        if step.before:
            step.before()
        watch.start()

    ended = trial.runner(*step.words, workspace=workspace, interruption=cut, before=before)
    lost = lose_power(workspace, journal, durable, trial.random)
    trial.outcome.title = f"{step.name}: {cut or 'at its end'}; lost: {', '.join(lost[:12]) or 'nothing'}"
    trial.outcome.hit = bool(lost)
    if ended.code not in (0, -9):
        return
    again = trial.runner(*step.words, workspace=workspace, before=step.before)
    if again.code:
        trial.require_explained(again)
        return
    if step.after_kill:
        trial.require_done(trial.runner(*step.after_kill, workspace=workspace), "completed")
    _compare(trial, step.name, workspace)


def _compare(trial: Trial, step: str, workspace: Path) -> None:
    for line in differences(trial.prepared / "after" / step, workspace):
        name, _, kind = line.partition(" ")
        if kind == "is left over":
            trial.report(Harm.LEFT if ".part" in name else Harm.DOUBLED, line)
        else:
            trial.report(Harm.LOST if kind == "is missing" else Harm.CHANGED, line)


ATTACK = Attack("power", 60, run, prepare)
