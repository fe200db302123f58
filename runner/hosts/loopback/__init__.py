"""Kaggle's wire on this machine, for practice competitions: to try that path without an account."""

from runner.hosts.loopback.messages import Call, Reply
from runner.hosts.loopback.pointing import environment_for, point_here, serve_for_good
from runner.hosts.loopback.server import LoopbackServer
from runner.hosts.loopback.store import ranged, redirect

__all__ = ["Call", "LoopbackServer", "Reply", "environment_for", "point_here", "ranged", "redirect", "serve_for_good"]
