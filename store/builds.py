"""Builds: what a run computes with, kept as `builds/<build_id>.json` and `inputs/<digest>.parquet`.

The same config, stage versions and input give the same build again, so a command that was killed
and is run again goes on with its build.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from earshot.errors import InputError
from earshot.schemas.arrow import to_table
from earshot.schemas.base import digest_of
from earshot.schemas.build import Build
from earshot.schemas.config import Config
from earshot.schemas.manifest import ManifestEntry
from earshot.store.inputs import stored_input
from earshot.store.manifests import Manifest
from earshot.store.stage import Stage
from earshot.store.workspace import Workspace, disk_fault, write_atomic

_STARTING_S = 3600.0


def make_build(
    workspace: Workspace,
    manifest: Manifest,
    config: Config,
    stages: Sequence[type[Stage[Any]]],
    code_version: str,
) -> Build:
    """Return the latest build if it computes with the same things, else a new one, not yet kept."""
    versions = {stage.name: stage.version for stage in stages}
    content = {
        "input_uri": manifest.uri,
        "input_base": manifest.base,
        "input_digest": manifest.digest,
        "stages": versions,
        "config": config.model_dump(mode="json"),
    }
    try:
        latest = latest_build(workspace)
    except InputError:  # of another earshot: it computes with other things
        latest = None
    if latest is not None and latest.model_dump(mode="json", include=set(content)) == content:
        return latest
    number = 1 + max((int(path.name.split("-")[0]) for path in _files(workspace)), default=0)
    return Build(
        build_id=f"{number:04d}-{digest_of(content)[:8]}",
        at=datetime.now(UTC),
        code_version=code_version,
        input_uri=manifest.uri,
        input_base=manifest.base,
        input_digest=manifest.digest,
        stages=versions,
        config=config,
    )


def keep_build(workspace: Workspace, build: Build, manifest: Manifest) -> None:
    """Write a build and its input, so that it is the workspace's latest from now on."""
    path = workspace.builds / f"{build.build_id}.json"
    if not path.exists():
        _keep_input(workspace, manifest)
        write_atomic(path, build.model_dump_json(indent=1).encode())
        return
    try:
        load_input(workspace, build)
    except InputError:  # lost or damaged since
        _keep_input(workspace, manifest)


def latest_build(workspace: Workspace) -> Build | None:
    """Return the build with the highest number, or None where there is none.

    Raises:
        InputError: as `read_build`.
    """
    files = _files(workspace)
    return read_build(files[-1]) if files else None


def build_ids(workspace: Workspace) -> list[str]:
    """Return the ids of all builds, the latest last."""
    return [file.stem for file in _files(workspace)]


def read_build(file: Path) -> Build:
    """Return the build that a file holds.

    Raises:
        InputError: if it is of another earshot, or damaged.
    """
    try:
        return Build.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(
            f"{file} is no build of this earshot ({'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}): build again with --input to make a new one"
        ) from error


def drop_build(workspace: Workspace, build_id: str) -> None:
    """Remove a build's record, and its input where no other build has the same.

    Raises:
        WorkspaceError: if the folder can't be written.
    """
    try:
        (workspace.builds / f"{build_id}.json").unlink(missing_ok=True)
        used = {json.loads(file.read_bytes()).get("input_digest") for file in _files(workspace)}
        for file in workspace.inputs.glob("[!.]*"):
            # A build that starts just now writes its input before its record.
            if file.stem not in used and time.time() - file.stat().st_mtime > _STARTING_S:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(workspace.builds, error) from error


def load_build(workspace: Workspace, build_id: str | None = None) -> Build:
    """Return a build by id, or the latest.

    Raises:
        InputError: if it is not there.
    """
    if build_id is None:
        latest = latest_build(workspace)
        if latest is None:
            raise InputError(
                f"{workspace.root} has no build yet: run `earshot build --input MANIFEST "
                f"--workspace {workspace.root}`"
            )
        return latest
    path = workspace.builds / f"{build_id}.json"
    if not path.exists():
        known = ", ".join(file.stem for file in _files(workspace)) or "none"
        raise InputError(f"no build {build_id!r} in {workspace.root}: expected one of {known}")
    return read_build(path)


def load_input(workspace: Workspace, build: Build) -> Manifest:
    """Return the manifest's rows as the build saw them.

    Raises:
        InputError: if they are not there.
    """
    return stored_input(workspace, build.input_digest, build.input_uri, build.input_base)


def _keep_input(workspace: Workspace, manifest: Manifest) -> None:
    stem = workspace.inputs / manifest.digest
    sink = io.BytesIO()
    rows = [manifest.entries[video_id] for video_id in sorted(manifest.entries)]
    pq.write_table(to_table(ManifestEntry, rows), sink, compression="zstd")
    write_atomic(stem.with_suffix(".parquet"), sink.getvalue())
    faults = [asdict(fault) for fault in manifest.faults]
    write_atomic(stem.with_suffix(".json"), json.dumps(faults, indent=1).encode())


def _files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.builds.glob("[0-9]*.json")) if workspace.builds.exists() else []
