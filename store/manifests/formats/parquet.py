"""Parquet manifests: nested columns as `ManifestEntry.ARROW` has them, one row a video,

{'video_id': 'yard-01', 'uri': 'videos/yard-01.mp4',
 'captions': [{'start_s': 0.0, 'end_s': 4.2, 'text': 'A brown dog barks at the gate.'}]}

or one row a caption, with the columns of a CSV manifest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import InputError
from earshot.store.manifests.columns import Cells, check_columns, table_rows
from earshot.store.manifests.faults import Fault
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import Row
from earshot.store.manifests.source import Source


def _sniff(source: Source) -> bool:
    return source.data.startswith(b"PAR1") or source.suffix in (".parquet", ".pq")


def _read(source: Source) -> Iterator[Row | Fault]:
    try:
        file = pq.ParquetFile(io.BytesIO(source.data))
        flat = check_columns(source.uri, file.schema_arrow.names)
        table = file.read()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{source.uri!r} is no readable Parquet ({error}); write it again") from (
            error
        )
    rows = (
        Cells(number, f"row {number}", values)
        for number, values in enumerate(table.to_pylist(), start=1)
    )
    yield from table_rows(rows, flat=flat)


FORMAT = VideoFormat("parquet", "the columns of csv, or nested captions and events", _sniff, _read)
