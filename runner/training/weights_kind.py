"""Whether a file is one of weights, by its first bytes: what else it is, is told before torch tries to read it."""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".npz")
_EXPECTED = "name a file of the model's weights with --weights, such as model.safetensors or model.pth"
_HEAD = 512  # bytes

# What a file that is no weights begins with.
_OTHERS = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it"),
    (b"version https://git-lfs", "a pointer of git-lfs, not the file itself: git lfs pull fetches it"),
    (b"<", "an HTML page, such as a site sends instead of a file that needs signing in"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)
_TORCH_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def check_weights_file(weights: Path) -> Path:
    """The path, if it is a file that may hold weights; a UsageError says what it is instead."""
    found = _other_kind(weights)
    if found is None:
        return weights
    raise UsageError(f"the weights file is {found}", where=weights, fix=_EXPECTED)


def _other_kind(path: Path) -> str | None:
    """What a path is that is no file of weights; None if it may be one."""
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.suffix in _SUFFIXES)
        return f"a folder; in it is {inside[0]}" if inside else "a folder"
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty"
    if head[:1] == _PICKLE or _is_safetensors(head, path) or head.startswith(_TORCH_ZIP):
        return None
    return next((kind for magic, kind in _OTHERS if head.lstrip().startswith(magic)), _text_kind(head))


def _is_safetensors(head: bytes, path: Path) -> bool:
    """Whether the file begins with the length of a JSON header that fits into it, as safetensors do."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 0 < length <= path.stat().st_size - 8


def _text_kind(head: bytes) -> str | None:
    """A CSV or a text, if the file begins with one."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        return None
    return "a CSV" if "," in text.splitlines()[0] else "a text file"
