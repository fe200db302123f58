"""The official client pointed at the loopback server: for a block, or until this process ends."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from runner.hosts.loopback.server import LoopbackServer
from runner.hosts.loopback.site import TOKEN, Stage
from runner.hosts.practice import PracticeHost


def environment_for(server: LoopbackServer) -> dict[str, str]:
    """The variables that point the official client, in any process, at the server."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": server.address,
        "http_proxy": server.address,
        # The first in the client's order: whatever other credentials there are, they are not sent here.
        "KAGGLE_API_TOKEN": TOKEN,
    }


@contextmanager
def point_here(server: LoopbackServer, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Within the block this process's client speaks to the server, as the practice account."""
    hidden = ("NO_PROXY", "no_proxy", "KAGGLE_KERNEL_RUN_TYPE")
    wanted = environment_for(server)
    before = {name: environ.get(name) for name in (*wanted, *hidden)}
    environ.update(wanted)
    for name in hidden:
        environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = value


def serve_for_good(host: PracticeHost) -> None:
    """Serve a practice host until this process ends, and point its client at the server."""
    server = _serving.get("server")
    if server is None:
        server = _serving["server"] = LoopbackServer({}).__enter__()
        _point_for_good(server)
    server.stages[host.competition.slug] = Stage(host)


_serving: dict[str, LoopbackServer] = {}


def _point_for_good(server: LoopbackServer) -> None:
    atexit.register(server.__exit__)
    ended = point_here(server)
    ended.__enter__()
    atexit.register(ended.__exit__, None, None, None)
