"""The situations of the sample world, and the script of the video at an index.

Takes (seed, index), gives a `Script`; the situations take turns, so that any twelve videos in a
row have all of them. A video depends on nothing but seed and index.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from earshot.media.sample.casting import Casting
from earshot.media.sample.kinds import PILLARS, SOUNDERS, UNSEEN
from earshot.media.sample.scenery import MISFITS, PLACES
from earshot.media.sample.script import Actor, Beat, Line, Scene, Script

SIZES = ((320, 240), (426, 240), (360, 480), (384, 216), (480, 270), (352, 288))
RATES = tuple(Fraction(rate) for rate in ("25", "15", "25/2", "30", "10", "24"))
AUDIO_RATES_HZ = (16000, 32000, 44100, 22050, 48000)


def _one_line(actors: tuple[Actor, ...], beats: tuple[Beat, ...], others: tuple[int, ...]) -> Scene:
    """A scene whose beats share their segments, one caption a segment."""
    lines = tuple(Line(*seg, tuple(range(len(beats))), others) for seg in beats[0].segments)
    return Scene(actors, beats, lines)


def _beat(actors: tuple[Actor, ...], lead: int) -> Beat:
    """The event of a sounding actor: its stretches under its label."""
    return Beat(actors[lead].kind.label, actors[lead].stretches, lead)


def solo(cast: Casting) -> Scene:
    """One thing sounds; nothing else is there."""
    actor = cast.actor(cast.pick(), cast.between(0.35, 0.65), size=1.25)
    actors = (cast.sounding(actor, cast.stretch(cast.between(0.1, 0.3), cast.between(0.35, 0.5))),)
    return _one_line(actors, (_beat(actors, 0),), ())


def beside_silent(cast: Casting) -> Scene:
    """One thing sounds while a silent one beside it moves as much, out of step."""
    here, there = cast.slots(2)
    lead = cast.sounding(
        cast.actor(cast.pick(), here, size=1.1),
        cast.stretch(cast.between(0.15, 0.35), cast.between(0.35, 0.5)),
    )
    other = cast.moving(cast.actor(cast.pick_silent(), there), (0.0, cast.duration_s), lead)
    return _one_line((lead, other), (_beat((lead,), 0),), (1,))


def duet(cast: Casting) -> Scene:
    """Two kinds sound at once."""
    here, there = cast.slots(2)
    stretch = cast.stretch(cast.between(0.15, 0.3), cast.between(0.4, 0.5))
    late = round(cast.between(0.2, 0.4) * (stretch[1] - stretch[0]), 1)
    shifted = (round(stretch[0] + late, 1), round(min(stretch[1] + late, cast.duration_s - 0.3), 1))
    together = cast.rng.random() < 0.5
    first = cast.sounding(cast.actor(cast.pick(), here), stretch)
    second = cast.sounding(cast.actor(cast.pick(), there), stretch if together else shifted)
    actors = (first, second)
    beats = (_beat(actors, 0), _beat(actors, 1))
    if together:
        return _one_line(actors, beats, ())
    lines = (Line(*stretch, (0,), (1,)), Line(*shifted, (1,), (0,)))
    return Scene(actors, beats, lines)


def twins(cast: Casting) -> Scene:
    """Two of one kind in different colours, of which one sounds and both move."""
    here, there = cast.slots(2)
    kind = cast.pick(roams=True)
    first, second = cast.rng.permutation(len(kind.colours))[:2]
    looks = [cast.look(kind, colour=int(at), plain=True) for at in (first, second)]
    pair = [
        dataclasses.replace(cast.actor(kind, x, look=look), name=f"{look.colour} {kind.name}")
        for x, look in zip((here, there), looks, strict=True)
    ]
    lead = cast.sounding(pair[0], cast.stretch(cast.between(0.15, 0.35), cast.between(0.35, 0.5)))
    return _one_line(
        (lead, cast.moving(pair[1], (0.0, cast.duration_s), lead)), (_beat((lead,), 0),), (1,)
    )


def leave_and_return(cast: Casting) -> Scene:
    """A thing walks out of the picture while it sounds, and comes back."""
    home = cast.between(0.35, 0.65)
    gone = -0.4 if home < 0.5 else 1.4
    start, length = cast.stretch(cast.between(0.08, 0.16), cast.between(0.6, 0.7))
    span = length - start
    knots = [start + part * span for part in (0.28, 0.42, 0.64, 0.8)]
    route = tuple(zip([0.0, *knots], [home, home, gone, gone, home], strict=True))
    actor = cast.sounding(cast.actor(cast.pick(roams=True), home), (start, length))
    actors = (dataclasses.replace(actor, route=route),)
    return _one_line(actors, (_beat(actors, 0),), ())


def occlusion(cast: Casting) -> Scene:
    """A sounding thing passes behind something that stands in front, and waits there a while."""
    middle = cast.between(0.44, 0.56)
    stretch = cast.stretch(cast.between(0.1, 0.2), cast.between(0.5, 0.65))
    span = stretch[1] - stretch[0]
    ends = (0.16, 0.84) if cast.rng.random() < 0.5 else (0.84, 0.16)
    knots = [stretch[0] + part * span for part in (0.1, 0.4, 0.62, 0.92)]
    route = tuple(zip([0.0, *knots], [ends[0], ends[0], middle, middle, ends[1]], strict=True))
    walker = cast.sounding(cast.actor(cast.pick(roams=True), middle, size=0.8), stretch)
    walker = dataclasses.replace(walker, route=route, sway=(0.0, 1.0, 0.0), foot_y=0.86)
    cover = cast.actor(cast.pick(PILLARS), middle)
    cover = dataclasses.replace(cover, foot_y=1.0, size=1.0, depth=2, flip=False)
    return _one_line((walker, cover), (_beat((walker,), 0),), (1,))


def off_screen(cast: Casting) -> Scene:
    """Something sounds that is never in the picture, while a silent thing moves in it."""
    kind = cast.pick(UNSEEN)
    heard = dataclasses.replace(cast.actor(kind, 0.5), route=())
    heard = cast.sounding(heard, cast.stretch(cast.between(0.15, 0.3), cast.between(0.35, 0.5)))
    mover = cast.pick_silent() if cast.rng.random() < 0.5 else cast.pick(roams=True)
    seen = cast.moving(
        cast.actor(mover, cast.between(0.3, 0.7), size=1.15), (0.0, cast.duration_s), heard
    )
    return _one_line((heard, seen), (_beat((heard,), 0),), (1,))


def silence(cast: Casting) -> Scene:
    """Things move and nothing sounds at all."""
    here, there = cast.slots(2)
    stretch = cast.stretch(cast.between(0.1, 0.25), cast.between(0.45, 0.6))
    first = cast.moving(cast.actor(cast.pick_silent(), here), stretch)
    second = cast.moving(cast.actor(cast.pick(), there), (0.0, cast.duration_s))
    beat = Beat(first.kind.silent_label, (stretch,), 0)
    return _one_line((first, second), (beat,), (1,))


def two_stretches(cast: Casting) -> Scene:
    """A thing sounds, rests, and sounds again, with a silent mover beside it."""
    here, there = cast.slots(2)
    early = cast.stretch(cast.between(0.08, 0.15), cast.between(0.18, 0.25))
    later = cast.stretch(cast.between(0.55, 0.62), cast.between(0.2, 0.28))
    lead = cast.sounding(cast.actor(cast.pick(), here, size=1.1), early, later)
    other = cast.moving(cast.actor(cast.pick_silent(), there), (0.0, cast.duration_s), lead)
    return _one_line((lead, other), (_beat((lead,), 0),), (1,))


def crowded(cast: Casting) -> Scene:
    """Four kinds sound one after another: one label more than the usual limit."""
    actors: list[Actor] = []
    for turn, x in enumerate(cast.slots(4)):
        stretch = cast.stretch(0.05 + 0.23 * turn, cast.between(0.15, 0.21))
        actors.append(cast.sounding(cast.actor(cast.pick(), x, size=0.72), stretch))
    beats = tuple(_beat(tuple(actors), lead) for lead in range(4))
    lines = tuple(Line(*beat.segments[0], (at,)) for at, beat in enumerate(beats))
    return Scene(tuple(actors), beats, lines)


def sparse(cast: Casting) -> Scene:
    """One short sound in a long video: less of it than the usual limit."""
    here, there = cast.slots(2)
    brief = [kind for kind in SOUNDERS if kind.strike_s < 0.5]
    lead = cast.sounding(cast.actor(cast.pick(brief), here), cast.stretch(0.45, 0.05))
    other = cast.moving(cast.actor(cast.pick_silent(), there), (0.0, cast.duration_s), lead)
    return _one_line((lead, other), (_beat((lead,), 0),), (1,))


SCENARIOS: dict[str, tuple[Callable[[Casting], Scene], tuple[float, float]]] = {
    "solo": (solo, (6, 12)),
    "beside_silent": (beside_silent, (9, 18)),
    "duet": (duet, (9, 20)),
    "twins": (twins, (8, 16)),
    "leave_and_return": (leave_and_return, (12, 20)),
    "occlusion": (occlusion, (10, 18)),
    "off_screen": (off_screen, (8, 16)),
    "silence": (silence, (6, 12)),
    "two_stretches": (two_stretches, (21, 32)),
    "crowded": (crowded, (24, 40)),
    "sparse": (sparse, (26, 34)),
    "no_audio_track": (silence, (6, 10)),
}


def make_script(seed: int, index: int) -> Script:
    """Return the script of video `index` (0-based) of the world `seed`.

    Raises:
        ValueError: if seed or index is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed}, index {index}: expected both >= 0; choose another seed")
    names = list(SCENARIOS)
    name, lap = names[index % len(names)], index // len(names)
    make, (shortest_s, longest_s) = SCENARIOS[name]
    rng = np.random.default_rng([seed, index, 1])
    width, height = SIZES[(index + seed + lap) % len(SIZES)]
    fps = RATES[(index + lap + seed) % len(RATES)]
    n_frames = round(float(rng.uniform(shortest_s, longest_s)) * fps)
    quiet = name in ("silence", "no_audio_track")
    scene = make(Casting(rng, float(n_frames / fps)))
    kinds = {actor.kind.name for actor in scene.actors}
    themes = [theme for theme in PLACES if not kinds & MISFITS.get(theme, set())]
    return Script(
        video_id=f"sample-{seed}-{index:05d}",
        scenario=name,
        scene=scene,
        theme=str(rng.choice(themes)),
        fps=fps,
        n_frames=n_frames,
        width=width,
        height=height,
        rate_hz=AUDIO_RATES_HZ[(index + seed) % len(AUDIO_RATES_HZ)],
        channels=1 + (index + seed) % 2,
        has_audio=name != "no_audio_track",
        is_silent=quiet,
        gives_events=name == "crowded" or (name != "sparse" and (index + lap) % 2 == 0),
    )
