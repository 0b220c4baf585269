"""The environment that Label Studio runs in: one of its own, made on first use.

The server brings 160 packages, some of which fight with ours: it is never installed beside earshot.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from earshot.errors import ServerError

# Below 1.23.2 there are known holes (CVE-2025-25296); above 1.23 the config was not seen.
REQUIREMENT = "label-studio>=1.23.2,<1.24"
_NAME = "label-studio-1.23"
_INSTALLED = ".installed"

Say = Callable[[str], None]


def label_studio_command(say: Say, folder: Path | None = None) -> Path:
    """Return the server's command, installing it where it is missing.

    Args:
        say: told before what takes minutes.
        folder: of the environment; default: in the user's cache.

    Raises:
        ServerError: if it can't be installed.
    """
    folder = folder or user_cache_path("earshot") / _NAME
    command = folder / "bin" / "label-studio"
    stamp = folder / _INSTALLED
    if stamp.exists():
        return command
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first calls must not install into one folder
        if not stamp.exists():
            say(f"installing {REQUIREMENT} into {folder}: some minutes and 1 GB, this once")
            _install(folder)
            stamp.touch()
    return command


def _install(folder: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    python = folder / "bin" / "python"
    steps: list[list[str | Path]]
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
            [uv, "pip", "install", "--quiet", "--python", python, REQUIREMENT],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", "--quiet", REQUIREMENT],
        ]
    # uv has a variable of its own for what pip calls a folder of wheels.
    told = {
        "UV_FIND_LINKS": os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")
    }
    environment = os.environ | {name: value for name, value in told.items() if value}
    for step in steps:
        done = subprocess.run(
            step, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-2000:]
            raise ServerError(
                f"{REQUIREMENT} could not be installed into {folder}: {said}\nMend the network or "
                "the disk and call again; or give the address of a server that runs elsewhere "
                "(label_studio.url)"
            )
