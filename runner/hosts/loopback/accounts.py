"""Who may ask: the practice account, by its key or its token."""

from __future__ import annotations

import base64
from typing import Any

from runner.hosts.loopback.messages import Body, Call, RefusedError
from runner.hosts.loopback.site import USERNAME, Site


def check_account(site: Site, call: Call) -> None:
    """Refuse whoever is not known."""
    kind, _, secret = call.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        name, _, key = base64.b64decode(secret).decode().partition(":")
        if site.accounts.get(name) == key:
            return
    if kind == "Bearer" and secret in site.tokens:
        return
    raise RefusedError(401, "Unauthenticated")


def introspect(site: Site, body: Body) -> dict[str, Any]:
    """Whether a token is known, and whose it is."""
    return {"active": body.get("token") in site.tokens, "username": USERNAME}
