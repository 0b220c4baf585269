"""Makes a web page to look at a release: one file with its data, style and program inside.

Takes a release and, where they are at hand, its videos; the page plays them with their tubes drawn
in step, and says plainly which are not there or are other films. Never changes a video.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from earshot.errors import InputError, ItemError
from earshot.media.audio import HOP_S, Envelope, read_envelope
from earshot.media.child import Worker
from earshot.schemas.arrow import from_table
from earshot.schemas.event import Event
from earshot.schemas.inspection import Inspection
from earshot.schemas.object import Object
from earshot.schemas.release import Media
from earshot.store.reviewed import decisive, in_force
from earshot.tasks.releases.media import USABLE, MediaFolder, check_video
from earshot.tasks.releases.release import Release

BINS = 900
_LIMIT_S, _SILENCE_DBFS = 120.0, -60.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What was written: the file, the videos on the page, and how many of them can be played."""

    path: Path
    videos: int
    of: int
    playable: int


def write_page(
    release: Release,
    out: Path,
    media_root: str | Path | None = None,
    *,
    videos: Sequence[str] = (),
    limit: int = 200,
    embed: bool = False,
) -> Page:
    """Write the page.

    Args:
        release: to look at.
        out: the HTML file.
        media_root: folder of the videos; without it none can be played.
        videos: ids; all that have a question or an event if none are given.
        limit: videos on the page at most, those with questions first.
        embed: put the video files into the page too; else it links to them where they lie.

    Raises:
        InputError: a video is not in the release, or there is no such folder.
        ReleaseError: the release has no such table.
    """
    media = {m.video_id: m for m in from_table(Media, release.read("media"))}
    missing = sorted(set(videos) - media.keys())
    if missing:
        raise InputError(f"{', '.join(missing)}: not among the {len(media)} videos of the release")
    asked = release.read(columns=["video_id"])["video_id"].unique().to_pylist()
    ranked = list(videos) or [*sorted(asked), *sorted(media.keys() - set(asked))]
    chosen = ranked[:limit]
    folder = None if media_root is None else MediaFolder(media_root)
    out.parent.mkdir(parents=True, exist_ok=True)
    with Worker(_LIMIT_S) as worker:
        shown = list(_videos(release, [media[v] for v in chosen], folder, worker, out, embed))
    head = release.head
    data = {
        "name": release.name, "semver": head.semver, "pin": release.pin, "licence": head.licence,
        "media_root": None if folder is None else str(folder.root),
        "of": len(ranked), "videos": shown,
    }  # fmt: skip
    out.write_text(_html(release.name, data), encoding="utf-8")
    return Page(out, len(shown), len(ranked), sum(bool(video["src"]) for video in shown))


def _html(title: str, data: Json) -> str:
    parts = {
        name: resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    }
    # `</script>` in a caption must not end the data.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = parts["page.html"].replace("{{title}}", title.replace("<", ""))
    page = page.replace("{{css}}", parts["page.css"]).replace("{{js}}", parts["page.js"])
    return page.replace("{{data}}", text)


def _videos(
    release: Release,
    media: Sequence[Media],
    folder: MediaFolder | None,
    worker: Worker,
    out: Path,
    embed: bool,
) -> Iterator[Json]:
    ids = [each.video_id for each in media]
    only = [("video_id", "in", ids)]
    tables = {
        name: _by_video(_read(release, name, only))
        for name in ("questions", "tubes", "revised_tubes", "shown_tubes", "event_objects")
    }
    events = _grouped(from_table(Event, release.read("events", filters=only)))
    objects = _grouped(from_table(Object, release.read("objects", filters=only)))
    about = _grouped(from_table(Inspection, release.read("inspections")), "event_id")
    for one in media:
        path, why = _film(one, folder, worker)
        video_id = one.video_id
        of_video = events.get(video_id, [])
        said = [next(iter(in_force(e, about.get(e.event_id, ()))), None) for e in of_video]
        names = {thing.object_id: thing.name for thing in objects.get(video_id, [])}
        tubes = [row for n in ("tubes", "revised_tubes") for row in tables[n].get(video_id, ())]
        shown = tables["shown_tubes"].get(video_id, ())
        yield {
            "id": video_id, "uri": one.uri, "width": one.width, "height": one.height,
            "duration": one.duration_s, "fps": one.fps, "licence": one.licence,
            "src": _source(path, out, embed), "why": why,
            "wave": _wave(path, one.duration_s, worker),
            "events": [_event(*each) for each in zip(of_video, said, strict=True)],
            "objects": [{"id": i, "name": n} for i, n in names.items()],
            "parts": [_part(row) for row in tables["event_objects"].get(video_id, [])],
            "tubes": _tubes(tubes, shown, said, one),
            "questions": [_question(row) for row in tables["questions"].get(video_id, [])],
        }  # fmt: skip


def _film(media: Media, folder: MediaFolder | None, worker: Worker) -> tuple[Path | None, str]:
    """Return the file of a video, or why there is none to draw its tubes on."""
    if folder is None:
        return None, "no --media-root was given"
    checked = check_video(media, folder.find(media.video_id, media.uri), worker)
    if checked.state in USABLE:
        return Path(checked.path), ""
    if checked.state == "missing":
        return None, f"not found in {folder.root}"
    return None, f"{checked.path} is {checked.state}: {checked.why}"


def _read(release: Release, name: str, only: list[tuple[str, str, Any]]) -> list[Json]:
    if name == "event_objects":  # its rows name the video in their ids alone
        wanted = set(only[0][2])
        rows = release.read(name).to_pylist() if release.files(name) else []
        return [
            {**row, "video_id": video_id}
            for row in rows
            if (video_id := row["event_id"].partition("/")[0]) in wanted
        ]
    return release.read(name, filters=only).to_pylist() if release.files(name) else []


def _by_video(rows: list[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        found[row["video_id"]].append(row)
    return found


def _grouped(records: Sequence[Any], name: str = "video_id") -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        found[getattr(record, name)].append(record)
    return found


def _event(event: Event, inspection: Inspection | None) -> Json:
    said = None
    if inspection is not None:
        said = {
            "verdict": inspection.verdict, "reasons": list(inspection.reasons),
            "by": inspection.inspected_by, "annotator": inspection.annotator,
            "at": inspection.at.strftime("%Y-%m-%d"), "carried": bool(inspection.carried_from),
            "seconds": round(inspection.seconds),
        }  # fmt: skip
    segments = inspection.segments if inspection and inspection.segments else event.segments
    return {
        "id": event.event_id, "label": event.label, "description": event.description,
        "segments": [each.pair for each in segments], "source": event.time_source,
        "inspection": said,
    }  # fmt: skip


def _part(row: Json) -> Json:
    return {
        "event": row["event_id"], "object": row["object_id"], "audibility": row["audibility"],
        "sounding": [(each["start_s"], each["end_s"]) for each in row["sounding"]],
    }  # fmt: skip


def _tubes(
    rows: Sequence[Json],
    shown: Sequence[Json],
    inspections: Sequence[Inspection | None],
    media: Media,
) -> list[Json]:
    """Return each tube as the inspection left it, boxes as shares of the frame.

    One that was revised again since is among the `shown` alone.
    """
    by_digest = {row["shown_digest"]: row for row in shown} | {row["digest"]: row for row in rows}
    final = {row["tube_id"]: row for row in reversed(rows)}
    said = [each for each in inspections if each is not None]
    standing = [each for each in said if each.verdict == "ok"]
    judged = decisive(said) | decisive(standing)
    for tube_id, each in judged.items():
        if each.after_digest in by_digest:
            final[tube_id] = by_digest[each.after_digest]
    verdicts = {tube_id: each.verdict for tube_id, each in judged.items()}
    return [_tube(row, verdicts.get(tube_id), media) for tube_id, row in sorted(final.items())]


def _tube(row: Json, verdict: str | None, media: Media) -> Json:
    in_px = row["box_space"] == "native_px"
    width, height = (media.width, media.height) if in_px else (1, 1)
    boxes = [
        box
        and [
            round(box["x1"] / width, 5), round(box["y1"] / height, 5),
            round(box["x2"] / width, 5), round(box["y2"] / height, 5),
        ]
        for box in row["boxes"]
    ]  # fmt: skip
    return {
        "id": row["tube_id"], "object": row["object_id"], "times": row["times_s"], "boxes": boxes,
        "window": [row["window"]["start_s"], row["window"]["end_s"]],
        "source": row["source"], "verdict": verdict, "backend": row["backend"],
    }  # fmt: skip


def _question(row: Json) -> Json:
    truth = json.loads(row["truth_json"])
    return {
        "id": row["question_id"], "task": row["task"], "branch": row["branch"],
        "split": row["split"], "question": row["question"], "answer": row["answer"],
        "span": row["span"] and [row["span"]["start_s"], row["span"]["end_s"]],
        "intervals": truth["intervals"], "tubes": row["tube_ids"], "events": row["event_ids"],
        "template": row["template_id"], "pack": row["pack"], "by": row["inspected_by"],
    }  # fmt: skip


def _source(path: Path | None, out: Path, embed: bool) -> str | None:
    if path is None:
        return None
    if embed:
        kind = mimetypes.guess_type(path.name)[0] or "video/mp4"
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return quote(os.path.relpath(path.resolve(), out.parent.resolve()).replace(os.sep, "/"))


def _wave(path: Path | None, duration_s: float, worker: Worker) -> list[int] | None:
    """Return the loudness over the video in `BINS` steps of 0 to 100; None without sound."""
    if path is None:
        return None
    try:
        envelope: Envelope | None = worker.call(read_envelope, path, _SILENCE_DBFS)
    except ItemError:
        return None
    if envelope is None or not envelope.rms.size:
        return None
    hops = max(1, round(duration_s / HOP_S))
    rms = np.zeros(hops)
    count = min(hops, envelope.rms.size)
    rms[:count] = envelope.rms[:count]
    edges = np.linspace(0, hops, min(BINS, hops) + 1).astype(int)[:-1]
    loudest = np.maximum.reduceat(rms, edges)
    return [int(v) for v in np.rint(100 * np.sqrt(loudest / max(loudest.max(), 1e-6)))]
