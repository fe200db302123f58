"""The script that Kaggle runs: it unpacks the package and hands over to the runner in it. It needs Python alone."""

from __future__ import annotations

import json

from runner.hosts.sandbox import ROOT_VARIABLE
from runner.remote.package import package_name

_SCRIPT = '''"""{title}

Written by competition-runner. It unpacks {package} and calls {module} in it.
"""

import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

DIGEST = "{digest}"
{content}OPTIONS = json.loads({options!r})

root = Path(os.environ.get("{variable}", "/kaggle"))
scratch = Path(tempfile.mkdtemp(prefix="runner-"))


def find_package():
    """The package among the mounted datasets: as a file, or as the folder that it was unpacked into."""
    for pattern in ("*/{package}", "*/*/{package}", "*/*/*/{package}"):
        for path in sorted((root / "input").glob(pattern)):
            return path
    raise SystemExit("the dataset with {package} is not mounted: is it among the kernel's sources?")


package = find_package()
if package.is_file():
    with zipfile.ZipFile(package) as archive:
        archive.extractall(scratch / "package")
else:
    (scratch / "package").symlink_to(package)
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
sys.path.insert(0, str(scratch / "package"))
try:
    from {module} import main
except ModuleNotFoundError as error:
    raise SystemExit(f"this machine's image lacks a package that the runner needs: {{error.name}}")
sys.exit(main(scratch, root, DIGEST, OPTIONS))
'''


def write_script(title: str, module: str, digest: str, options: dict[str, object], *, content: str = "") -> str:
    """The script that calls `main` of a module in the package; `content` identifies its submission."""
    return _SCRIPT.format(
        title=title,
        module=module,
        digest=digest,
        content=f'CONTENT = "{content}"\n' if content else "",
        package=package_name(digest),
        options=json.dumps(options, sort_keys=True),
        variable=ROOT_VARIABLE,
    )
