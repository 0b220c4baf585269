"""Tubes that lie in Parquet files: a table of ours, or the folder of a release or of a truth.

Takes a path, gives tubes with the names of their objects and the sizes of their videos, as far as
tables of those lie beside them. Reads nothing of a workspace, and never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from earshot.errors import InputError
from earshot.geometry.spaces import NORM, BoxSpace, convert
from earshot.names import norm
from earshot.schemas.base import Record
from earshot.schemas.object import Object
from earshot.schemas.tube import RevisedTube, Tube
from earshot.schemas.video import Video

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class TubeSet:
    """Tubes with what is known of their objects and videos.

    Attributes:
        tubes: sorted by id; a person's revision stands in the place of what it corrects.
        names: by object id, every normalised name that an object may be called; without a table
            of objects it is empty.
        sizes_px: (width, height) by video id.
    """

    tubes: tuple[Tube, ...]
    names: dict[str, frozenset[str]]
    sizes_px: dict[str, tuple[int, int]]

    def boxes_norm(self, tube: Tube) -> npt.NDArray[np.float64]:
        """Return a tube's boxes (n, 4) in parts of the frame, NaN where it is not visible.

        Raises:
            InputError: if they are in pixels of a video whose size is not known.
        """
        boxes = tube.arrays()[1]
        if tube.box_space == "norm":
            return boxes
        if tube.video_id not in self.sizes_px:
            raise InputError(
                f"tube {tube.tube_id} is in native_px, and the size of {tube.video_id} is not "
                "known; put videos.parquet beside the table"
            )
        width, height = self.sizes_px[tube.video_id]
        return convert(boxes, BoxSpace("native_px", width, height), NORM)


def tube_set(
    tubes: Sequence[Tube],
    revised: Sequence[RevisedTube] = (),
    objects: Sequence[Object] = (),
    videos: Sequence[Video] = (),
) -> TubeSet:
    """Return records as a set."""
    replaced = {row.parent_digest for row in revised if row.parent_digest}
    kept: list[Tube] = [tube for tube in tubes if tube.digest not in replaced]
    return TubeSet(
        tubes=tuple(sorted([*kept, *revised], key=lambda tube: tube.tube_id)),
        names={
            thing.object_id: frozenset(
                norm(name) for name in (thing.name, thing.head, *thing.accept)
            )
            for thing in objects
        },
        sizes_px={video.video_id: (video.width, video.height) for video in videos},
    )


def read_tubes(path: Path) -> TubeSet:
    """Return the tubes of a Parquet file, or of a folder that has a `tubes.parquet` in it or below.

    Raises:
        InputError: if there is none, or it is no table of tubes.
    """
    file = path
    if path.is_dir():
        found = sorted(path.rglob(f"{Tube.TABLE}.parquet"))
        if len(found) != 1:
            raise InputError(
                f"{path} has {len(found)} files {Tube.TABLE}.parquet, expected one; name the file"
            )
        file = found[0]
    if not file.is_file():
        raise InputError(f"{file} is not there; expected a Parquet table of tubes, or a folder")
    beside = file.parent
    return tube_set(
        read_rows(Tube, file),
        _beside(RevisedTube, beside),
        _beside(Object, beside),
        _beside(Video, beside),
    )


def _beside(kind: type[R], folder: Path) -> list[R]:
    file = folder / f"{kind.TABLE}.parquet"
    return read_rows(kind, file) if file.is_file() else []


def read_rows(kind: type[R], file: Path) -> list[R]:
    """Return the records of a table; columns that came later than it have their defaults.

    Raises:
        InputError: if it is no table of this kind, or a row breaks the record's rules.
    """
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{file} is no Parquet table that can be read ({error})") from error
    optional = {name for name, field in kind.model_fields.items() if not field.is_required()}
    missing = set(kind.model_fields) - set(table.column_names) - optional
    if missing:
        raise InputError(
            f"{file} has no column {', '.join(sorted(missing))}; expected a table of {kind.TABLE}"
        )
    rows = table.select([name for name in kind.model_fields if name in table.column_names])
    try:
        return [kind.model_validate(row) for row in rows.to_pylist()]
    except ValidationError as error:
        raise InputError(f"{file} has a row that is none of {kind.TABLE}: {error}") from error
