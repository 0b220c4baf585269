"""Compares the files of the built wheel with the files of the tree: nothing missing, nothing more.

`python -m tests.wheel_contents DIST_FOLDER` exits with 1 and names the differences.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"geometry", "prompts", "schemas", "rewards", "store", "media", "tasks"} | {
    "annotation_ui",
    "flows",
}
NOT_SHIPPED = {".pyc"}


def tree_files() -> set[str]:
    """Return what the wheel has to hold, as paths inside the package."""
    places = [(ROOT / "src" / "earshot", "earshot")]
    places += [(ROOT / name, f"earshot/{name}") for name in sorted(FOLDERS)]
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for folder, prefix in places
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_SHIPPED and "__pycache__" not in path.parts
    }


def wheel_files(dist: Path) -> set[str]:
    """Return the package files of the only wheel in a folder."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def main(dist: Path) -> int:
    """Print the differences; return the exit code."""
    tree, wheel = tree_files(), wheel_files(dist)
    for name in sorted(tree - wheel):
        print(f"missing in the wheel: {name} (is its folder a package, its suffix package-data?)")
    for name in sorted(wheel - tree):
        print(f"only in the wheel: {name} (remove build/ and *.egg-info)")
    return int(tree != wheel)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
