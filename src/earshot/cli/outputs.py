"""Checks where a command is to write before it works: a path that can't be written costs no work.

Callbacks of options; they make the folders above a path and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from earshot.errors import InputError


def file_to_write(path: Path | None) -> Path | None:
    """Return the path of a file that can be written.

    Raises:
        InputError: it is a folder, or its folder can't be made or written.
    """
    if path is None:
        return None
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file to write: add a name")
    _make(path, path.parent)
    _check(path, path if path.exists() else path.parent)
    return path


def folder_to_fill(path: Path | None) -> Path | None:
    """Return the path of a folder that is there and can be filled, or can be made.

    Raises:
        InputError: it is a file, or can't be made or written.
    """
    if path is None:
        return None
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; expected a folder: give another path")
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"{path} can't be made: {there} is a file; give another path")
    _check(path, there)
    return path


def _make(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} can't be written: {folder} can't be made ({error.strerror}); give another path"
        ) from error


def _check(path: Path, place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise InputError(f"{path} can't be written: {place} is read-only; give another path")
