"""Finds out of what kind an input file is, and reads it."""

from __future__ import annotations

from pathlib import Path

from earshot.errors import InputError
from earshot.schemas.manifest import as_written
from earshot.store.manifests.boxes import BoxSet, FrameBoxes
from earshot.store.manifests.faults import Fault
from earshot.store.manifests.format import BoxFormat, Format, VideoFormat
from earshot.store.manifests.formats import FORMATS
from earshot.store.manifests.manifest import Manifest, collect
from earshot.store.manifests.source import Source, open_source


def read_manifest(
    uri: str,
    kind: str | None = None,
    media_root: str | None = None,
    media_suffix: str = ".mp4",
) -> Manifest:
    """Read a manifest, or an annotation file as one, from a path or any fsspec URL.

    Args:
        uri: the file.
        kind: a name of `FORMATS`; None finds it out.
        media_root: folder or URL where relative uris start; None: where the file lies.
        media_suffix: annotation files name no video files: video `x` is `x<media_suffix>`.

    Raises:
        InputError: if it is not there, of an unknown kind or layout, or holds no row at all.
    """
    return read_source(open_source(uri, media_suffix), kind, media_root)


def read_source(source: Source, kind: str | None = None, media_root: str | None = None) -> Manifest:
    """Read an opened file; see `read_manifest`."""
    form, uri = _find(source, kind), source.uri
    if not isinstance(form, VideoFormat):
        raise InputError(
            f"{uri!r} is {form.name} ({form.holds}) and names no events; expected a list of videos"
        )
    entries, faults = collect(form.read(source))
    if not entries and not faults:
        raise InputError(f"{uri!r} is empty: expected one row a video")
    return Manifest(uri, base_of(source, media_root), entries, faults)


def read_boxes(uri: str, kind: str | None = None) -> BoxSet:
    """Read the boxes of an annotation file from a path or any fsspec URL.

    Raises:
        InputError: if it is not there, or holds no boxes.
    """
    source = open_source(uri)
    form = _find(source, kind)
    if not isinstance(form, BoxFormat):
        raise InputError(f"{uri!r} is {form.name} ({form.holds}): expected an annotation of boxes")
    found = list(form.read(source))
    frames = tuple(one for one in found if isinstance(one, FrameBoxes))
    return BoxSet(uri, frames, tuple(one for one in found if isinstance(one, Fault)))


def _find(source: Source, kind: str | None) -> Format:
    if kind is not None:
        named = [form for form in FORMATS if form.name == kind]
        if not named:
            known = ", ".join(form.name for form in FORMATS)
            raise InputError(f"input kind {kind!r} is unknown: expected one of {known}")
        return named[0]
    fitting = [form for form in FORMATS if form.sniff(source)]
    if not fitting:
        known = "; ".join(f"{form.name} ({form.holds})" for form in FORMATS)
        raise InputError(
            f"{source.uri!r} is of no known kind; it begins with "
            f"{as_written(source.data[:80].decode(errors='replace'))!r}. Expected one of: {known}. "
            "Name the kind, or convert the file"
        )
    return fitting[0]


def base_of(source: Source, media_root: str | None) -> str:
    """Return the folder or URL that relative uris of an input start from."""
    if media_root is None:
        return source.folder
    if "://" in media_root:
        return media_root.rstrip("/")
    return Path(media_root).absolute().as_posix()
