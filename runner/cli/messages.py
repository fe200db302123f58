"""What a command prints about a run's score and about a submission."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner.commands import wrap
from runner.contract import Competition
from runner.hosts.submit import SubmitResult
from runner.prediction.score import Score
from runner.session import Session
from runner.training.run import Run
from runner.training.unreadable import read_skipped


def format_score(competition: Competition, run: Run) -> str:
    """The run's CV score in one line."""
    score = run.read_score()
    if score is None:
        return f"{run.name}: not predicted yet"
    cv = Score(**score["cv"])
    extra = "".join(
        f", {metric.title} {Score(**score['extra_metrics'][metric.key])}"
        for metric in competition.extra_metrics
        if metric.key in score["extra_metrics"]
    )
    of = score.get("refit_of")
    note = f" of {of}, which it refits: it has no validation rows of its own" if of else ""
    return f"{run.name}: CV {competition.metric.title} {cv}{extra} ({cv.rows:,} rows{_format_skipped(run)}){note}"


def _format_skipped(run: Run) -> str:
    """How many rows the run, or a member of it, leaves out because their images cannot be read; empty if none."""
    skipped = read_skipped(run)
    for name in run.read_members():
        skipped = skipped.union(read_skipped(Run(run.competition, name, run.folder.with_name(name))))
    counts = [
        f"{len(ids):,} {what}"
        for ids, what in (
            (skipped.labelled, "labelled left out"),
            (skipped.test, "test by class frequencies"),
            (skipped.images, "of ids with others"),
        )
        if ids
    ]
    return f"; unreadable images: {', '.join(counts)}" if counts else ""


def format_score_details(run: Run) -> str:
    """Postprocess, folds, TTA, ensemble members and the in-sample score, a line each; empty before `predict`."""
    score = run.read_score()
    if score is None or "postprocess" not in score:
        return ""
    tta, folds = score["tta"], score["folds"]
    lines = [f"  postprocess: {score['postprocess']}"]
    if len(folds) > 1:
        lines.append("  folds: " + ", ".join(f"{fold}: {value:.5f}" for fold, value in folds.items()))
    if tta["gain"] is not None:
        lines.append(f"  TTA: {tta['mode']}; gain of averaging views {tta['gain']:+z.5f} ± {tta['error']:.5f}")
    if len(score["members"]) > 1:
        lines.append(f"  {'model':<24}{'weight':>8}{'own score':>11}{'gain':>10}")
        lines += [
            f"  {member['name']:<24}{member['weight']:>8.3f}{member['solo_score']:>11.5f}{member['gain']:>+z10.5f}"
            for member in score["members"]
        ]
    return "\n".join([*lines, f"  in-sample (biased, not the CV score): {score['in_sample']:.5f}"])


def format_submission(result: SubmitResult) -> str:
    """A submission's status and scores, and a line for each leaderboard."""
    submission = result.submission
    scores = {"public": submission.public, "private": submission.private}
    text = "".join(f", {name} {score:.5f}" for name, score in scores.items() if score is not None)
    lines = [f"submission {submission.ref}: {submission.status.value}{text}"]
    return "\n".join([*lines, *(wrap(f"  {standing}") for standing in result.standings)])


def plain_run(session: Session, run: Run) -> dict[str, Any]:
    """A predicted run for JSON: its name, its whole score, its submission file."""
    return {
        "competition": session.name,
        "run": run.name,
        "score": run.read_score(),
        "submission": session.submission_file(run.name),
    }


def plain_submission(result: SubmitResult | None) -> dict[str, Any]:
    """A submission for JSON, with its standings; nothing if there was none."""
    if result is None:
        return {}
    standings = [{**asdict(standing), "top_percent": standing.top_percent} for standing in result.standings]
    return {"submitted": asdict(result.submission), "standings": standings}
