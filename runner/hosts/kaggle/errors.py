"""Failed requests to Kaggle as errors for the user: what is wrong, and the command or page that fixes it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from runner.commands import TYPED, command
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, Credentials, find_credentials
from runner.hosts.http.errors import RequestError
from runner.hosts.kaggle.parse import SITE, InvalidAnswerError, parse_info, parse_page
from runner.hosts.protocol import NoSubmissionError, UnreachableError

# A clock that is further off makes signed URLs and tokens expire, or not be valid yet.
_MAX_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class ErrorContext:
    """What a request was about: it decides what a 403 or a 404 means."""

    competition: Competition
    slug: str
    file: str = ""
    submission: str = ""
    dataset: str = ""
    kernel: str = ""
    check_rules: bool = True  # a 403 may mean that the rules are not accepted

    def command(self, step: str) -> str:
        """The command for a step of this competition; the one that was typed, if it has no file yet."""
        return f"runner {self.competition.name} {step}" if self.competition.name else TYPED


class Connection(Protocol):
    """What an error message needs of the client."""

    credentials: Credentials | None
    clock_skew: timedelta  # how far this machine's clock is ahead

    def request(self, method: str, body: dict[str, Any]) -> Any:
        """The JSON object of a response; RequestError if it fails."""


def host_error(error: RequestError, context: ErrorContext, connection: Connection) -> HostError:
    """The HostError for a failed request; a 403 or 404 may ask Kaggle for its reason."""
    if error.status == 401:
        return _credentials_error(error, connection)
    if error.status in (403, 404) and context.dataset:
        return _no_dataset_error(context)
    if error.status in (403, 404) and context.kernel:
        return HostError(
            f"Kaggle has no kernel {context.kernel}, or you have no access to it",
            where=f"{SITE}/code/{context.kernel}",
            fix="open that page and check that you are logged in with the account of `runner doctor`",
        )
    if error.status == 404:
        return _not_found_error(context, connection)
    if error.status == 403:
        return _forbidden_error(error, context, connection)
    kind = UnreachableError if error.retryable else HostError
    return kind(f"{error.message}{_clock_text(connection)}", fix=error.fix)


def _not_found_error(context: ErrorContext, connection: Connection) -> HostError:
    if context.submission:
        return NoSubmissionError(
            f"Kaggle has no submission {context.submission}", fix=context.command("standings --refresh")
        )
    if context.file:
        return HostError(f"Kaggle no longer has the file {context.file}", fix=context.command("download --from DIR"))
    return _no_competition_error(context, _similar_slugs(context.slug, connection))


def _forbidden_error(error: RequestError, context: ErrorContext, connection: Connection) -> HostError:
    slug = context.slug
    if context.check_rules and not _has_accepted_rules(slug, connection):
        return HostError(
            f"the rules of {slug} are not accepted yet",
            where=f"{SITE}/competitions/{slug}/rules",
            fix=f"open that page in a browser, accept the rules (or join), then: `{context.command('download')}`",
        )
    if not context.check_rules:
        # Kaggle responds to some wrong slugs as if they were forbidden.
        similar = _similar_slugs(slug, connection)
        if similar and slug not in similar:
            return _no_competition_error(context, similar)
    return HostError(
        f"Kaggle refuses the request: {error.detail or 'it gives no reason'}",
        where=f"{SITE}/competitions/{slug}",
        fix=f"open {SITE}/competitions/{slug}/rules and check that you have joined; else: `runner doctor`",
    )


def _has_accepted_rules(slug: str, connection: Connection) -> bool:
    try:
        return parse_info(connection.request("GetCompetition", {"competitionName": slug}), slug).rules_accepted
    except (RequestError, HostError, InvalidAnswerError):
        return True


def _credentials_error(error: RequestError, connection: Connection) -> HostError:
    search = find_credentials()
    fix = f"create a new token at {SETTINGS_PAGE}"
    if search.shadowed and search.used:
        fix += f"; or, because it hides the {search.shadowed[0]}: {search.used.command_to_disable}"
    detail = f" ({error.detail})" if error.detail else ""
    return HostError(f"Kaggle rejects the {connection.credentials}{detail}{_clock_text(connection)}", fix=fix)


def _no_dataset_error(context: ErrorContext) -> HostError:
    return HostError(
        f"Kaggle has no dataset {context.dataset}, or you have no access to it",
        where=f"{SITE}/datasets/{context.dataset}",
        fix=context.command("download --from DIR"),
    )


def _no_competition_error(context: ErrorContext, similar: list[str]) -> HostError:
    slug = context.slug
    hint = f"similar ones: {', '.join(similar)}" if similar else f"search for it at {SITE}/competitions"
    if not context.competition.name:
        return HostError(
            f"Kaggle has no competition {slug!r}; {hint}", fix=command("new", similar[0]) if similar else None
        )
    example = f", for example {similar[0]!r}" if similar else ""
    return HostError(
        f"Kaggle has no competition {slug!r}; {hint}",
        where=f"slug={slug!r} in the competition's file",
        fix=f"write the last part of the competition's address there{example}",
    )


def _similar_slugs(slug: str, connection: Connection) -> list[str]:
    """Up to three real slugs like this one. Single words find what a typo in another word hides."""
    words = [word for word in re.split(r"[^a-z0-9]+", slug.lower()) if len(word) > 2]
    slugs: set[str] = set()
    for search in [slug.replace("-", " "), *sorted(words, key=len, reverse=True)[:3]]:
        try:
            competitions, _ = parse_page(connection.request("ListCompetitions", {"search": search}), "competitions")
        except (RequestError, HostError, InvalidAnswerError):
            break
        # `ref` is the slug, or the complete address.
        refs = (str(item.get("ref") or item.get("url") or "") for item in competitions if isinstance(item, dict))
        slugs |= {ref.rstrip("/").rsplit("/", 1)[-1] for ref in refs} - {""}
    return difflib.get_close_matches(slug, slugs, n=3, cutoff=0.5)


def _clock_text(connection: Connection) -> str:
    skew = connection.clock_skew
    if abs(skew) < _MAX_CLOCK_SKEW:
        return ""
    minutes = int(abs(skew).total_seconds() // 60)
    return f"; this machine's clock is {minutes} min {'ahead' if skew > timedelta(0) else 'behind'}: correct it"
