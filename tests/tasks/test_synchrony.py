"""How well the embedded tracker does, on sample videos of a seed that is drawn when the test runs.

The figures are printed: `pytest -s` shows them, with the seed that repeats them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from earshot.geometry.intervals import Normalised, normalise
from earshot.geometry.tubes import ABSENT, at, tube_iou
from earshot.media.audio import samples_of
from earshot.media.encode import write_mp4
from earshot.media.sample.kinds import PILLARS
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import write_sample_video
from earshot.schemas.base import to_pairs
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.stage import Outcome, StageContext, StageInput
from earshot.tasks.track_objects.stage import TrackObjects

# Forty videos with a seed drawn each time: minutes, and a matter of chance; `make test-faults`.
pytestmark = pytest.mark.slow

# The situations take turns, twelve a lap. Beyond the first lap sparse is left out, which takes the
# longest; the last videos are more of those whose source is not visible: with few of them the share
# that is refused is a matter of chance.
INDICES = (
    *(i for i in range(43) if i < 12 or i % 12 != 10),
    *(6 + 12 * lap for lap in range(4, 15)),
)
# Three of each situation in which something sounds and is seen, but for the two longest.
HARD = tuple(lap + place for lap in (0, 12, 24) for place in (0, 1, 2, 3, 4, 5, 8))
LATE_S, SHAKE_PX, NOISE = 0.08, 3, 8.0
SCENERY = {kind.name for kind in PILLARS}


@dataclass(frozen=True)
class Case:
    """One sounding object in one event, and what became of it.

    Attributes:
        is_hidden: its source is not in the picture.
        is_doubted: the tracker says `ambiguous_identity`.
        ious: tube IoU with each thing that moves, by object id.
    """

    scenario: str
    object_id: str
    is_hidden: bool
    is_doubted: bool
    has_tube: bool
    is_largest: bool
    movers: int
    ious: dict[str, float]
    absent: tuple[int, int]

    @property
    def iou(self) -> float:
        """Tube IoU with the object itself."""
        return self.ious.get(self.object_id, 0.0)

    @property
    def is_picked(self) -> bool:
        """Whether the tube lies on the object, more than on any other."""
        return self.has_tube and self.iou >= max([0.1, *self.ious.values()])


def told_of_hidden(truth: VideoTruth) -> list[EventObject]:
    """The parts of a video, the unseen sounder being told to be seen: the captions don't say."""
    return [
        part.model_copy(update={"audibility": "visible_and_audible"}) if part.sounding else part
        for part in truth.event_objects
    ]


def track(folder: Path, truth: VideoTruth) -> tuple[VideoTruth, list[Tube]]:
    """Track one video as if every sounder might be seen."""
    rows = {
        Video: [truth.video],
        Event: list(truth.events),
        Object: list(truth.objects),
        EventObject: told_of_hidden(truth),
    }
    stage = TrackObjects(TrackConfig(), StageContext(str(folder), folder / "cache"))
    (outcome,) = stage.run([StageInput(truth.video.video_id, rows)])
    return truth, tubes_of(outcome)


def tubes_of(outcome: Outcome) -> list[Tube]:
    """The rows of an outcome that is done."""
    assert outcome.status == "done", outcome
    return [row for row in outcome.records if isinstance(row, Tube)]


def make_and_track(folder: Path, seed: int, index: int) -> tuple[VideoTruth, list[Tube]]:
    """Write one sample video and track it."""
    return track(folder, write_sample_video(folder / "videos", seed, index))


def spoil_and_track(folder: Path, truth: VideoTruth) -> tuple[VideoTruth, list[Tube]]:
    """Track a video with late sound, a shaking camera and noise."""
    name = f"spoilt/{truth.video.video_id}.mp4"
    spoil(folder / truth.video.uri, folder / name)
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    video = truth.video.model_copy(update={"uri": name, "sha256": sha256})
    return track(folder, replace(truth, video=video))


def spoil(source: Path, out: Path) -> None:
    """Write a video again: sound LATE_S late, each frame moved and noisy."""
    with av.open(str(source)) as container:
        rate_hz = container.streams.audio[0].rate
        sound = np.concatenate([samples_of(f) for f in container.decode(audio=0)], axis=1)
    late = np.zeros_like(sound)
    late[:, round(LATE_S * rate_hz) :] = sound[:, : sound.shape[1] - round(LATE_S * rate_hz)]
    with av.open(str(source)) as container:
        picture = container.streams.video[0]
        size, fps = (picture.width, picture.height), Fraction(picture.average_rate or 1)
        write_mp4(out, shaken(container.decode(video=0)), fps, size, (late, rate_hz))


def shaken(frames: Iterator[av.VideoFrame]) -> Iterator[np.ndarray]:
    """Move every frame by up to SHAKE_PX and add grain."""
    rng = np.random.default_rng(0)
    for frame in frames:
        pixels = frame.to_ndarray(format="rgb24")
        down, right = rng.integers(0, 2 * SHAKE_PX + 1, 2)
        wide = np.pad(pixels, ((SHAKE_PX, SHAKE_PX), (SHAKE_PX, SHAKE_PX), (0, 0)), mode="edge")
        moved = wide[down : down + pixels.shape[0], right : right + pixels.shape[1]]
        grain = rng.standard_normal(pixels.shape, dtype=np.float32) * NOISE
        yield np.clip(moved + grain, 0, 255).astype(np.uint8)


def cases(truth: VideoTruth, tubes: Sequence[Tube]) -> list[Case]:
    """Every event with the object that it is about: of those that sound in it, by its label."""
    true = {tube.object_id: tube for tube in truth.tubes}
    names = {thing.object_id: thing.name for thing in truth.objects}
    movers = {key: tube for key, tube in true.items() if names[key] not in SCENERY}
    areas = {key: np.nanmedian(np.prod(boxes_of(t)[:, 2:] - boxes_of(t)[:, :2], axis=1))
             for key, t in movers.items()}  # fmt: skip
    found = []
    for event in truth.events:
        grid = np.concatenate([np.arange(s, e, 0.2) for s, e in to_pairs(event.segments)])
        for part in truth.event_objects:
            if part.event_id != event.event_id or not is_about(event, part, truth):
                continue
            own = [t for t in tubes if t.object_id == part.object_id and overlaps(t, grid)]
            found.append(
                Case(
                    scenario=truth.scenario,
                    object_id=part.object_id,
                    is_hidden=part.audibility == "audible_only",
                    is_doubted=any(tube.flags for tube in own),
                    has_tube=bool(own),
                    is_largest=part.object_id == max(areas, key=lambda key: areas[key]),
                    movers=len(movers),
                    ious={k: best_iou(own, tube, grid) for k, tube in movers.items()},
                    absent=absences(own, true.get(part.object_id), grid),
                )
            )
    return found


def is_about(event: Event, part: EventObject, truth: VideoTruth) -> bool:
    """Whether an event's segments are when the object sounds, and its label names the kind."""
    (thing,) = (each for each in truth.objects if each.object_id == part.object_id)
    kind = str(event.label).split()[0]
    return bool(part.sounding) and kind in {word for name in thing.accept for word in name.split()}


def sounding_of(truth: VideoTruth, object_id: str) -> Normalised:
    """When an object sounds, over all events."""
    parts = [part for part in truth.event_objects if part.object_id == object_id]
    return normalise([pair for part in parts for pair in to_pairs(part.sounding)])


def boxes_of(tube: Tube) -> np.ndarray:
    """The boxes (n, 4) of a tube."""
    return tube.arrays()[1]


def overlaps(tube: Tube, grid: np.ndarray) -> bool:
    """Whether a tube is of a window that has one of the times."""
    return bool(np.any((grid >= tube.window.start_s - 0.05) & (grid < tube.window.end_s)))


def best_iou(own: Sequence[Tube], tube: Tube, grid: np.ndarray) -> float:
    """The largest tube IoU of some tubes with another over a grid."""
    theirs = at(*tube.arrays(), grid)
    return max((tube_iou(*at(*each.arrays(), grid), *theirs) for each in own), default=0.0)


def absences(own: Sequence[Tube], tube: Tube | None, grid: np.ndarray) -> tuple[int, int]:
    """At how many times the object is away, and at how many of them its tube says so."""
    if not own or tube is None:
        return 0, 0
    away = at(*tube.arrays(), grid)[1] == ABSENT
    said = at(*own[0].arrays(), grid)[1] == ABSENT
    return int(away.sum()), int((away & said).sum())


def share(rows: Sequence[Case], of: Callable[[Case], float]) -> float:
    """Mean over cases; 0 without any."""
    return float(np.mean([of(row) for row in rows])) if rows else 0.0


@dataclass(frozen=True)
class Tracked:
    """Sample videos of one seed, as they are and spoilt, with what was found in them."""

    seed: int
    plain: list[tuple[VideoTruth, list[Tube]]]
    spoilt: list[tuple[VideoTruth, list[Tube]]]

    def seen(self, which: Sequence[tuple[VideoTruth, list[Tube]]]) -> list[Case]:
        """Seen sounders of all events."""
        rows = [case for truth, tubes in which for case in cases(truth, tubes)]
        return [row for row in rows if not row.is_hidden]

    def sure(self, which: Sequence[tuple[VideoTruth, list[Tube]]]) -> list[Case]:
        """Those of events that the tracker does not doubt."""
        return [row for row in self.seen(which) if not row.is_doubted]


def share_right(rows: Sequence[Case]) -> float:
    """The share that is picked and not doubted: what an automatic inspector lets pass, rightly."""
    return share(rows, lambda row: row.is_picked and not row.is_doubted)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Fifty-one sample videos of a fresh seed and half of them spoilt, two processes at work."""
    folder, seed = tmp_path_factory.mktemp("synchrony"), secrets.randbelow(2**31)
    for name in ("videos", "spoilt"):
        (folder / name).mkdir()
    print(f"\nseed {seed}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        made = [pool.submit(make_and_track, folder, seed, index) for index in INDICES]
        plain = [each.result() for each in made]
        hard = [truth for index, (truth, _) in zip(INDICES, plain, strict=True) if index in HARD]
        again = [pool.submit(spoil_and_track, folder, truth) for truth in hard]
        return Tracked(seed, plain, [each.result() for each in again])


def test_the_sounder_is_picked_among_the_movers(tracked: Tracked) -> None:
    """In 85 % of undoubted events, with a tube IoU of 0.5; and 20 points above trivial choices.

    Those are the largest mover and a random one, over all events. Where something moves alone
    both are right, so that they are also compared where there is a choice.
    """
    rows = tracked.sure(tracked.plain)
    picked = share(rows, lambda row: row.is_picked)
    iou = share([row for row in rows if row.is_picked], lambda row: row.iou)
    print(f"\nseed {tracked.seed}: {len(tracked.plain)} videos, {len(rows)} undoubted events")
    print(f"mean tube IoU where picked {iou:.3f}")
    for which, some in (("all", rows), ("with a choice", [r for r in rows if r.movers > 1])):
        ours = share(some, lambda row: row.is_picked)
        largest = share(some, lambda row: row.is_largest)
        random = share(some, lambda row: 1 / row.movers)
        print(f"{which}: picked {ours:.3f}, largest mover {largest:.3f}, random {random:.3f}")
        assert ours >= max(largest, random) + 0.2
    assert len(tracked.plain) >= 40
    assert picked >= 0.85
    assert iou >= 0.5


def test_doubt_is_no_way_out(tracked: Tracked) -> None:
    """Every event that sounds is judged, few are doubted, and doubted ones count as not picked."""
    rows = [case for truth, tubes in tracked.plain for case in cases(truth, tubes)]
    heard = [
        event
        for truth, _ in tracked.plain
        for event in truth.events
        if any(p.event_id == event.event_id and p.sounding for p in truth.event_objects)
    ]
    seen = tracked.seen(tracked.plain)
    doubted = share(seen, lambda row: row.is_doubted)
    print(f"\n{len(rows)} of {len(heard)} events judged, {len(seen)} sources seen")
    print(f"doubted {doubted:.3f}; picked and not doubted {share_right(seen):.3f} of all seen")
    assert len(rows) == len(heard)
    assert doubted <= 0.25
    assert share_right(seen) >= 0.7


def test_doubt_is_kept_for_those_that_sound_together(tracked: Tracked) -> None:
    """Two that sound all the same time are doubted, hardly any other is, and both have tubes."""
    twins, others = [], []
    for truth, tubes in tracked.plain:
        sounding = {thing.object_id: sounding_of(truth, thing.object_id) for thing in truth.objects}
        for case in cases(truth, tubes):
            own = sounding.get(case.object_id)
            rivals = [key for key, each in sounding.items() if each == own]
            if not case.is_hidden:
                (twins if len(rivals) > 1 else others).append(case)
    doubted = share(others, lambda row: row.is_doubted)
    print(f"\ndoubted: {sum(t.is_doubted for t in twins)} of {len(twins)} that sound as one, "
          f"{doubted:.3f} of {len(others)} others")  # fmt: skip
    assert share(twins, lambda row: row.is_doubted and row.has_tube) >= 0.7 or not twins
    assert doubted <= 0.1


def test_nothing_is_made_the_source_of_an_unseen_sound(tracked: Tracked) -> None:
    """At least 80 % of events whose source is not visible have no tube, though told to be seen."""
    rows = [case for truth, tubes in tracked.plain for case in cases(truth, tubes)]
    hidden = [row for row in rows if row.is_hidden]
    refused = share(hidden, lambda row: not row.has_tube)
    print(f"\nno tube for {refused:.3f} of {len(hidden)} unseen sources")
    assert len(hidden) >= 15
    assert refused >= 0.8


def test_what_is_away_is_absent(tracked: Tracked) -> None:
    """Where a thing has left or stands behind another its tube is absent in most of the times."""
    rows = tracked.sure(tracked.plain)
    away, said = np.sum([row.absent for row in rows], axis=0)
    print(f"\nabsent at {said} of the {away} times at which a sounder is away")
    assert said > 0.5 * away > 0


def test_late_sound_shake_and_noise_cost_little(tracked: Tracked) -> None:
    """80 ms of offset, 3 px of shake and grain lower the share that is picked by below 15 points.

    Of the same videos' undoubted events, and of all of them with doubt counted as not picked: flags
    must not hide a loss.
    """
    ids = {truth.video.video_id for truth, _ in tracked.spoilt}
    plain = [each for each in tracked.plain if each[0].video.video_id in ids]
    sets = (plain, tracked.spoilt)
    before, after = (share(tracked.sure(which), lambda row: row.is_picked) for which in sets)
    right, still_right = (share_right(tracked.seen(which)) for which in sets)
    print(f"\npicked {before:.3f}, spoilt {after:.3f} of the undoubted; "
          f"picked and not doubted {right:.3f}, spoilt {still_right:.3f} of all")  # fmt: skip
    assert after > before - 0.15
    assert still_right > right - 0.15
