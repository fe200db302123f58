"""The Hugging Face hub, where timm keeps pretrained weights: asked once whether it answers, not for a minute."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session

_SECONDS = 5.0  # that the hub has to answer
_LOGGERS = ("huggingface_hub", "timm.models._hub", "timm.models._builder")


@contextmanager
def hub_within_reach() -> Iterator[str | None]:
    """Why the hub does not answer, or None. If it does not, the block reads its cache on this disk alone.

    Its client would try each request six times, with growing pauses and a line for each.
    """
    reason = None if constants.HF_HUB_OFFLINE else _why_silent()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or reason is not None
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield "HF_HUB_OFFLINE is set" if was_offline else reason
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _why_silent() -> str | None:
    """Why the hub cannot be used now; None if it answers."""
    try:
        response = get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    except Exception as error:  # whatever the client, a proxy or the system raises
        return f"{constants.ENDPOINT} cannot be reached ({str(error).splitlines()[0] or type(error).__name__})"
    if response.status_code == 429 or response.status_code >= 500:
        return f"{constants.ENDPOINT} answers with status {response.status_code}"
    return None
