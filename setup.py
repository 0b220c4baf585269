"""Maps the folders at the top of the repository into the package `earshot`.

The list of packages is computed: a hand-kept list forgets sub-folders in the wheel while the
editable install still finds them, so the mistake shows only at a user's.
"""

from pathlib import Path

from setuptools import setup

ROOTS = (
    "geometry", "prompts", "schemas", "rewards", "store", "media",
    "tasks", "annotation_ui", "flows",
)  # fmt: skip


def packages() -> dict[str, str]:
    """Return {package name: folder} for every folder that holds an `__init__.py`."""
    found = {"earshot": "src/earshot"}
    for init in Path("src/earshot").rglob("__init__.py"):
        name = ".".join(("earshot", *init.parent.relative_to("src/earshot").parts))
        found[name] = init.parent.as_posix()
    for root in ROOTS:
        for init in Path(root).rglob("__init__.py"):
            found[".".join(("earshot", *init.parent.parts))] = init.parent.as_posix()
    return found


PACKAGES = packages()

setup(packages=sorted(PACKAGES), package_dir=PACKAGES)
