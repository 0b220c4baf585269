"""The workspace folder: where everything lies, and how a file is written whole or not at all.

workspace.json              format of the folder
config.toml                 the configuration that `earshot init` wrote
inputs/<digest>.parquet     the manifest's rows as a build saw them
builds/<build_id>.json      config, stage versions, input
stages/<stage>/<part>/      immutable parts: states, ledger, tables, part.json
quarantine/                 tracebacks and what was decided about quarantined items
leases/                     who works on which (stage, shard), with an expiry
cache/                      fetched media, digests, raw answers: safe to delete, costs time
logs/<run_id>.jsonl         what each run did
releases/                   published releases
prefect/                    database, log and pid file of the server that earshot starts
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from earshot.errors import WorkspaceError

FORMAT = 1
_FULL_OR_READ_ONLY = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the disk is read-only: mount it writable",
    errno.EACCES: "no permission to write: change the folder's rights",
    errno.EPERM: "no permission to write: change the folder's rights",
}


def is_disk_fault(error: OSError) -> bool:
    """Whether an error is the disk's and not an item's: nothing can go on until it is mended."""
    return error.errno in _FULL_OR_READ_ONLY


def disk_fault(path: Path, error: OSError) -> WorkspaceError:
    """Turn an OS error on writing into a message with the remedy."""
    remedy = _FULL_OR_READ_ONLY.get(error.errno or 0, "check the disk")
    return WorkspaceError(
        f"can't write {path}: {error.strerror}; {remedy}, then run the same command again "
        "(nothing that was finished is lost)"
    )


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole under a temporary name, then rename it into place.

    Raises:
        WorkspaceError: when the disk is full, read-only or forbidden.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_fault(path, error) from error


def fsync_folder(path: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
            if path.exists() and any(path.iterdir()):
                raise WorkspaceError(
                    f"{path} is not empty and no workspace: name an empty or a new folder"
                )
            write_atomic(marker, json.dumps({"format": FORMAT}).encode())
        found = json.loads(marker.read_text()).get("format")
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
    def config_file(self) -> Path:
        """The configuration that `earshot init` writes and builds read by default."""
        return self.root / "config.toml"
