"""What every question to Kaggle needs: a list page by page, and a refusal told as what it means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NoReturn

from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, find_credentials
from runner.hosts.http.errors import TIMEOUTS, RequestError, RetryPolicy
from runner.hosts.kaggle.answers import time_of
from runner.hosts.kaggle.wire import SITE, KaggleClient
from runner.hosts.protocol import CompetitionInfo, UnreachableError

# Beyond this, a signed URL or a token may be thought expired, or not valid yet.
SKEW_THAT_MATTERS = timedelta(minutes=5)

_PAGE = 200


class KaggleApi:
    """Kaggle, asked for one competition. The wire is opened at the first question."""

    def __init__(
        self,
        competition: Competition,
        *,
        name: str = "kaggle",
        patience: RetryPolicy | None = None,
        timeouts: tuple[float, float] = TIMEOUTS,
    ):
        self.competition, self.name = competition, name
        self.wire = KaggleClient(patience=patience, timeouts=timeouts)

    def now(self) -> datetime:
        """Kaggle's time, as far as it was told; else this machine's."""
        return self.wire.now()

    def fetch_about(self, slug: str) -> CompetitionInfo:
        """What Kaggle says of the competition, and of you in it."""
        try:
            told = self.wire.ask("GetCompetition", {"competitionName": slug})
        except RequestError as fault:
            self.refuse(fault, slug, knows_of_rules=False)
        return CompetitionInfo(
            slug=slug,
            title=str(told.get("title") or slug),
            page=f"{SITE}/competitions/{slug}",
            entered=bool(told.get("userHasEntered", False)),
            disabled=bool(told.get("submissionsDisabled", False)),
            notebooks_only=bool(told.get("isKernelsSubmissionsOnly", False)),
            deadline=time_of(told.get("deadline")),
        )

    def pages(self, method: str, body: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
        """Every item of a list, however many pages it has."""
        token, seen = "", set()
        while True:
            page = self.wire.ask(method, {**body, "pageSize": _PAGE} | ({"pageToken": token} if token else {}))
            items = page.get(key) or []
            yield from (one for one in items if isinstance(one, dict))
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise RequestError("Kaggle's list has no end: a page leads back to an earlier one", "runner doctor")
            seen.add(token)

    def again(self, step: str) -> str:
        """The command that does a step of this competition again."""
        return f"runner {self.competition.name or 'COMPETITION'} {step}"

    def refuse(self, fault: RequestError, slug: str, *, knows_of_rules: bool = True, file: str = "") -> NoReturn:
        """The fault as the user is told it."""
        raise self._told(fault, slug, knows_of_rules, file) from None

    def _told(self, fault: RequestError, slug: str, knows_of_rules: bool, file: str) -> HostError:
        if fault.status == 401:
            return self._bad_credentials(fault)
        if fault.status == 404 and not file:
            return self._no_such_competition(slug, self._near(slug))
        if fault.status == 404:
            return HostError(f"Kaggle does not offer {file} any more", fix=f"{self.again('download')} --from DIR")
        if fault.status == 403 and knows_of_rules and not self._has_entered(slug):
            return rules_error(slug, self.again("download"))
        if fault.status == 403 and not knows_of_rules and slug not in (near := self._near(slug)) and near:
            return self._no_such_competition(slug, near)
        if fault.status == 403:
            return HostError(
                f"Kaggle refuses: {fault.detail or 'it gives no reason'}",
                where=f"{SITE}/competitions/{slug}",
                fix=f"open {SITE}/competitions/{slug}/rules and see whether you have entered; else: runner doctor",
            )
        kind = UnreachableError if fault.again else HostError
        return kind(f"{fault.message}{self._clock_remark()}", fix=fault.fix)

    def _has_entered(self, slug: str) -> bool:
        try:
            return self.fetch_about(slug).entered
        except HostError:
            return True

    def _bad_credentials(self, fault: RequestError) -> HostError:
        found = find_credentials()
        fix = f"make a new token at {SETTINGS_PAGE}"
        if found.shadowed and found.used:
            fix += f"; or, since it keeps {found.shadowed[0]} from being used: {found.used.cure_to_drop}"
        said = f" ({fault.detail})" if fault.detail else ""
        return HostError(f"Kaggle does not accept the {self.wire.credentials}{said}{self._clock_remark()}", fix=fix)

    def _no_such_competition(self, slug: str, near: list[str]) -> HostError:
        guess = f"its nearest are: {', '.join(near)}" if near else f"look for it at {SITE}/competitions"
        return HostError(
            f"Kaggle has no competition {slug!r}; {guess}",
            where=f"slug={slug!r} in the competition's file",
            fix=f"write the last part of the competition's address there{f', as in {near[0]!r}' if near else ''}",
        )

    def _near(self, slug: str) -> list[str]:
        """Real slugs like this one. Whole words find what a typo in another word hides."""
        words = [word for word in re.split(r"[^a-z0-9]+", slug.lower()) if len(word) > 2]
        found: set[str] = set()
        for search in [slug.replace("-", " "), *sorted(words, key=len, reverse=True)[:3]]:
            try:
                told = self.wire.ask("ListCompetitions", {"search": search}).get("competitions") or []
            except (RequestError, HostError):
                break
            # `ref` is the slug, or the whole address.
            refs = (str(one.get("ref") or one.get("url") or "") for one in told if isinstance(one, dict))
            found |= {ref.rstrip("/").rsplit("/", 1)[-1] for ref in refs} - {""}
        return difflib.get_close_matches(slug, found, n=3, cutoff=0.5)

    def _clock_remark(self) -> str:
        skew = self.wire.skew
        if abs(skew) < SKEW_THAT_MATTERS:
            return ""
        minutes = int(abs(skew).total_seconds() // 60)
        return f"; this machine's clock is {minutes} min {'ahead' if skew > timedelta(0) else 'behind'}: set it right"


def rules_error(slug: str, again: str) -> HostError:
    """What is said where the rules are not accepted: only a browser can do that."""
    return HostError(
        f"the rules of {slug} are not accepted yet",
        where=f"{SITE}/competitions/{slug}/rules",
        fix=f"open that page in a browser, accept the rules (or join), then: {again}",
    )
