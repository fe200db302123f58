"""What a file is, by its first bytes, when it is not what its name says."""

from __future__ import annotations

# Bytes that `title_of` needs.
HEAD = 512


def title_of(head: bytes) -> str:
    """What a file is that begins with these bytes: an HTML page, a text, zeros; with its article."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "an empty file"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, such as a sign-in or error page saved under its name"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself"
    if not start.strip(b"\0"):
        return "a file of zeros, such as an interrupted download leaves"
    return "a text" if b"\0" not in head and head.isascii() else "a file of another kind"
