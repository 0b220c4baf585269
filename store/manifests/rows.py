"""From what a format finds in a row to a manifest entry or a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from earshot.errors import ItemError
from earshot.schemas.manifest import ManifestEntry, as_written
from earshot.store.manifests.faults import Fault, fault_of, unfit
from earshot.store.manifests.source import Repeating, Source

# The lists of a manifest entry.
NESTED = ("captions", "events")


@dataclass(frozen=True)
class Row:
    """A good row: its place in the file, in figures and in words, and its entry."""

    line: int
    place: str
    entry: ManifestEntry


def entry_row(line: int, place: str, fields: Mapping[str, object]) -> Row | Fault:
    """Return the entry that some fields make, or what is wrong with them."""
    try:
        return Row(line, place, ManifestEntry.model_validate(fields))
    except ValidationError as error:
        return unfit(line, place, fields.get("video_id"), error)


def interval_fields(pair: object) -> dict[str, object]:
    """Return the fields of a `RawInterval` for a published `[start, end]`; any other value is kept
    as text, for the stage to report."""
    if isinstance(pair, list) and len(pair) == 2:
        return {"start_s": pair[0], "end_s": pair[1]}
    return {"times_as_written": as_written(pair)}


Fields = Callable[[Mapping[str, object]], Mapping[str, object]]


def keyed_rows(source: Source, fields: Fields) -> Iterator[Row | Fault]:
    """Yield the rows of a JSON object `{video_id: annotation}`, which names no video files.

    Args:
        source: the file; `{"database": {video_id: annotation}}` is read too.
        fields: gives the manifest fields of one annotation, or raises ItemError.
    """
    for number, (video_id, found) in enumerate(source.annotations, start=1):
        place = f"entry {number} ({as_written(video_id)})"
        try:
            told = fields(as_object(found))
        except ItemError as error:
            yield fault_of(number, video_id, f"{place}: {error}", error.value, error.code)
            continue
        uri = f"{video_id}{source.media_suffix}"
        yield entry_row(number, place, {"video_id": video_id, "uri": uri, **told})


def as_object(found: object) -> Mapping[str, object]:
    """Return a JSON value as an object.

    Raises:
        ItemError: if it is none, or has a key twice.
    """
    if not isinstance(found, dict):
        raise ItemError("bad_entry", "expected a JSON object; mend it", as_written(found))
    if isinstance(found, Repeating):
        message = f"the key {found.repeated!r} stands twice; leave one of them out"
        raise ItemError("bad_entry", message, found.repeated)
    return found


def without_repeats(rows: object) -> object:
    """Return a list of captions or events; one that has a key twice, which reading it would hide,
    becomes text, for the stage to report."""
    if not isinstance(rows, list):
        return rows
    found = [(row, _first_repeating(row)) for row in rows]
    return [row if repeating is None else str(repeating.pairs) for row, repeating in found]


def _first_repeating(value: object) -> Repeating | None:
    if isinstance(value, Repeating):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((one for part in parts if (one := _first_repeating(part)) is not None), None)


def list_field(found: Mapping[str, object], *names: str) -> list[object]:
    """Return the list that stands under the first of some names that is there.

    Raises:
        ItemError: if there is none.
    """
    name = next((name for name in names if name in found), names[0])
    value = found.get(name)
    if not isinstance(value, list):
        told = as_written(value) if name in found else "nothing"
        raise ItemError("bad_entry", f"{name}: expected a list, found {told}; mend it", told)
    return value
