"""The workspace folder: where everything lies, and how a file is written whole or not at all.

workspace.json              format of the folder
config.toml                 the configuration that `earshot init` wrote
inputs/<digest>.parquet     the manifest's rows as a build saw them
builds/<build_id>.json      config, stage versions, input
stages/<stage>/<part>/      immutable parts: states, ledger, tables, part.json
quarantine/                 tracebacks and what was decided about quarantined items
leases/                     who works on which (stage, shard), with an expiry
requests/                   raw answers of language models: deleting them means to pay again
cache/                      fetched media, digests: safe to delete, costs time
logs/<run_id>.jsonl         what each run did
releases/                   published releases
prefect/                    database, log and pid file of the server that earshot starts
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from earshot.errors import WorkspaceError

FORMAT = 1
_DISK = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file is larger than this process or disk allows: raise the limit (ulimit -f)",
    errno.EROFS: "the disk is read-only: mount it writable",
    errno.EIO: "the disk can't be read or written: check it",
}
_RIGHTS = {
    errno.EACCES: "no permission to write: change the folder's rights",
    errno.EPERM: "no permission to write: change the folder's rights",
}
OLD_S = 24 * 3600.0
"""Writing one file or part takes seconds: a temporary that is older has no writer any more."""


def is_disk_fault(error: OSError, workspace: Path) -> bool:
    """Whether an error is the disk's and not an item's: nothing can go on until it is mended.

    A missing permission is the disk's inside the workspace, and an item's anywhere else.
    """
    if error.errno in _DISK:
        return True
    inside = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(
        workspace
    )
    return error.errno in _RIGHTS and inside


def disk_fault(path: Path, error: OSError) -> WorkspaceError:
    """Turn an OS error on writing into a message with the remedy."""
    remedy = (_DISK | _RIGHTS).get(error.errno or 0, "check the disk")
    return WorkspaceError(
        f"can't write {path}: {error.strerror}; {remedy}, then run the same command again "
        "(nothing that was finished is lost)"
    )


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole under a temporary name, then rename it into place.

    Raises:
        WorkspaceError: when the disk is full, read-only or forbidden.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise disk_fault(path, error) from error


def temporary_name(name: str, kind: str = "tmp") -> str:
    """Return a name for what is not there yet (or no more): its writer can be told from it."""
    return f".{kind}-{name}-{place()}-{os.getpid()}-{secrets.token_hex(4)}"


def has_no_writer(path: Path) -> bool:
    """Whether a temporary file or folder was left by a killed process."""
    *_, where, pid, _token = ("", "", *path.name.split("-"))
    if where == place() and pid.isdigit():
        return not is_alive(int(pid))
    try:
        return time.time() - path.stat().st_mtime > OLD_S
    except FileNotFoundError:
        return False


def leftovers(path: Path, kinds: Sequence[str]) -> list[Path]:
    """Return what killed processes left beside a path, under temporary names of it."""
    names = re.compile(
        rf"\.(?:{'|'.join(kinds)})-{re.escape(path.name)}-[0-9a-f]{{8}}-\d+-[0-9a-f]{{8}}"
    )
    beside = (each for each in path.parent.iterdir() if names.fullmatch(each.name))
    return [each for each in beside if has_no_writer(each)]


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def place() -> str:
    """Where process numbers mean what they mean here: a host, and on Linux a container in it."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbers}".encode()).hexdigest()[:8]


def fsync_folder(path: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _holds_others(path: Path) -> bool:
    return any(not entry.name.startswith(".tmp-workspace.json-") for entry in path.iterdir())


@dataclass(frozen=True)
class Workspace:
    """Paths inside a workspace folder."""

    root: Path

    @classmethod
    def open(cls, root: Path | str, *, create: bool = False) -> Workspace:
        """Return the workspace at `root`.

        Raises:
            WorkspaceError: if the folder is no workspace (and `create` is false), holds something
                else, or is of a newer format.
        """
        path = Path(root).expanduser().absolute()
        marker = path / "workspace.json"
        if not marker.exists():
            if not create:
                raise WorkspaceError(
                    f"{path} is no workspace (no workspace.json): run "
                    f"`earshot init {path}`, or `earshot build`, which makes one"
                )
            # Another build may make the same workspace at this very moment.
            if path.exists() and _holds_others(path) and not marker.exists():
                raise WorkspaceError(
                    f"{path} is not empty and no workspace: name an empty or a new folder"
                )
            write_atomic(marker, json.dumps({"format": FORMAT}).encode())
        try:
            found = json.loads(marker.read_bytes())["format"]
        except (ValueError, LookupError, TypeError) as error:
            raise WorkspaceError(
                f"{marker} is damaged ({error}): expected {json.dumps({'format': FORMAT})}; "
                "put it back from a backup, or write that line into it"
            ) from error
        if found != FORMAT:
            raise WorkspaceError(
                f"{path} has workspace format {found!r}, this earshot reads {FORMAT}: "
                "use the earshot that wrote it, or a new workspace"
            )
        return cls(path)

    @property
    def builds(self) -> Path:
        """Build records."""
        return self.root / "builds"

    @property
    def inputs(self) -> Path:
        """Manifest rows as builds saw them."""
        return self.root / "inputs"

    @property
    def stages(self) -> Path:
        """Stage parts."""
        return self.root / "stages"

    @property
    def quarantine(self) -> Path:
        """Tracebacks and decisions."""
        return self.root / "quarantine"

    @property
    def leases(self) -> Path:
        """Leases."""
        return self.root / "leases"

    @property
    def requests(self) -> Path:
        """What language models were asked and answered."""
        return self.root / "requests"

    @property
    def cache(self) -> Path:
        """What may be deleted at any time."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """Run logs."""
        return self.root / "logs"

    @property
    def releases(self) -> Path:
        """Published releases."""
        return self.root / "releases"

    @property
    def prefect(self) -> Path:
        """The Prefect server's home."""
        return self.root / "prefect"

    @property
    def label_studio(self) -> Path:
        """The annotation server, its clips, what was pushed to it and every answer of it."""
        return self.root / "label_studio"

    @property
    def config_file(self) -> Path:
        """The configuration that `earshot init` writes and builds read by default."""
        return self.root / "config.toml"
