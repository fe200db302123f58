"""What a command says of a run and of a submission."""

from __future__ import annotations

from runner.contract import Competition
from runner.hosts.submit import SubmitResult
from runner.prediction.score import Score
from runner.training.run import Run


def tell_score(competition: Competition, run: Run) -> str:
    """The run's held-out score, and what it is made of, a line a thing."""
    written = run.read_score()
    if written is None:
        return f"{run.name}: not predicted yet"
    cv = Score(**written["cv"])
    also = "".join(
        f", {metric.title} {Score(**written['also'][metric.key])}"
        for metric in competition.extra_metrics
        if metric.key in written["also"]
    )
    return f"{run.name}: held-out {competition.metric.title} {cv}{also} ({cv.rows:,} rows)"


def tell_parts(run: Run) -> str:
    """What the run's score is made of: folds, views, members, and the figure that flatters, named so."""
    told = run.read_score()
    if told is None or "plan" not in told:
        return ""
    views, folds = told["views"], told["folds"]
    lines = [f"  final step: {told['plan']}"]
    if len(folds) > 1:
        lines.append("  folds: " + ", ".join(f"{fold}: {score:.5f}" for fold, score in folds.items()))
    if views["gain"] is not None:
        lines.append(f"  {views['look']}; averaging views gains {views['gain']:+z.5f} ± {views['error']:.5f}")
    if len(told["members"]) > 1:
        lines.append(f"  {'member':<24}{'weight':>8}{'alone':>10}{'gain':>10}")
        lines += [
            f"  {one['name']:<24}{one['weight']:>8.3f}{one['alone']:>10.5f}{one['gain']:>+z10.5f}"
            for one in told["members"]
        ]
    return "\n".join([*lines, f"  optimistic, fitted on the rows that it is scored on: {told['optimistic']:.5f}"])


def tell_outcome(outcome: SubmitResult) -> str:
    """What became of a submission, a line a board."""
    submission = outcome.submission
    scores = {"public": submission.public, "private": submission.private}
    told = "".join(f", {board} {score:.5f}" for board, score in scores.items() if score is not None)
    lines = [f"submission {submission.ref}: {submission.status.value}{told}"]
    return "\n".join([*lines, *(f"  {standing}" for standing in outcome.standings)])
