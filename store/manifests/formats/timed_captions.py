"""Timed captions as LongVALE, ActivityNet Captions and Charades-STA have them: parallel lists.

https://github.com/ttgeng233/LongVALE, `longvale-annotations-eval.json`, here with a record of
https://github.com/www-Ye/Time-R1, `ActivityNet/activitynet_annotation/val_2.json`:

{"v_K6Tm5xHkJ5c": {"duration": 114.64, "timestamps": [[0, 21.78], [25.79, 83.69], [91.14, 114.64]],
"sentences": ["A woman is standing on a lit stage.", " She is holding an accordian as she talks.",
" She is surrounded by two other accordians as she instructs on how to play the instrument."]}}

Lists of different lengths are a fault of the whole video: which sentence belongs to which time
can't be known. `captions` is read where there are no `sentences`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from earshot.errors import ItemError
from earshot.store.manifests.faults import Fault
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import Row, interval_fields, keyed_rows, list_field
from earshot.store.manifests.source import Source


def _sniff(source: Source) -> bool:
    return source.some_annotation_has("timestamps")


def _read(source: Source) -> Iterator[Row | Fault]:
    return keyed_rows(source, _fields)


def _fields(found: Mapping[str, object]) -> Mapping[str, object]:
    times, texts = list_field(found, "timestamps"), list_field(found, "sentences", "captions")
    if len(times) != len(texts):
        told = f"{len(times)} timestamps, {len(texts)} sentences"
        raise ItemError("bad_entry", f"{told}; expected one time a sentence", told)
    pairs = zip(times, texts, strict=True)
    return {"captions": [{**interval_fields(time), "text": text} for time, text in pairs]}


FORMAT = VideoFormat(
    "timed-captions",
    "LongVALE and ActivityNet JSON: timestamps and sentences by video",
    _sniff,
    _read,
)
