"""Keeps the package as it is as the release of its version: `make keep-release`, the last step before a release.

`tests/upgrade/<version>.zip` holds every file of it. Tests migrate from it and run its processes beside the checkout's.
What stands in it of functions and migrations is never changed again.
"""

import sys
import zipfile
from pathlib import Path

import scorer_fast

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PACKAGE = Path(scorer_fast.__file__).parent
SUFFIXES = {".py", ".sql", ".html", ".css", ".js", ".svg", ".typed"}


def version() -> str:
    """The version that the package says it is."""
    namespace: dict[str, str] = {}
    exec((PACKAGE / "__init__.py").read_text(), namespace)
    return namespace["__version__"]


def keep(archive: Path) -> int:
    """Write the package into ``archive``, the same bytes for the same files; how many files."""
    files = sorted(path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as kept:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(PACKAGE.parent).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            kept.writestr(entry, path.read_bytes())
    return len(files)


if __name__ == "__main__":
    name = FOLDER / f"{version()}.zip"
    sys.stdout.write(f"{name.relative_to(ROOT)}: {keep(name)} files\n")
