"""The page in a real browser: boxes where they are in the picture, in step with its frames.

Needs Chromium (Debian's: apt-get install chromium) and playwright; skipped, saying so, without.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from earshot.errors import InputError
from earshot.media.encode import write_mp4
from earshot.schemas.base import Interval
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.question import Question
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from earshot.tasks.releases.browse import write_page
from tests import factories
from tests.tasks.publish_release.conftest import CONFIG, change, make_rows, make_source
from tests.worlds import by_person, judged, revision_of, still, tube_of

CHROMIUM = os.environ.get("EARSHOT_CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT, FPS, N = 320, 180, 25, 500
HOSTILE = "</script><script>document.title='injected'</script><img src=x onerror=alert(1)>"


def box_at(time_s: float) -> tuple[float, float, float, float]:
    """Where the painted box is in the frame shown at a time, in shares: it moves each frame."""
    x = 20 + int(time_s * FPS + 1e-6) // 2
    return x / WIDTH, 60 / HEIGHT, (x + 60) / WIDTH, 130 / HEIGHT


def paint(path: Path) -> None:
    """A red box that moves on black, for 20 s; a tone from 2 to 6 s."""

    def frames() -> Iterator[np.ndarray]:
        for index in range(N):
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            edges = np.array(box_at(index / FPS)) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
            x1, y1, x2, y2 = edges.round().astype(int)
            picture[y1:y2, x1:x2] = (220, 30, 30)
            yield picture

    wave = np.zeros((1, N // FPS * 48000), np.float32)
    wave[0, 2 * 48000 : 6 * 48000] = 0.5 * np.sin(np.arange(4 * 48000) / 12)
    write_mp4(path, frames(), Fraction(FPS), (WIDTH, HEIGHT), (wave, 48000))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Path]:
    """A release of four videos, of which one is at hand."""
    films = tmp_path_factory.mktemp("films")
    paint(films / "v000.mp4")
    rows = make_rows(4)
    for index in range(4):
        rows = change(rows, Video, index, width=WIDTH, height=HEIGHT, fps=25.0, n_frames=N)
    thing = factories.make_object("v000")
    tube = tube_of(thing, (2.0, 12.0), box_at, visible=[(2.0, 10.0)])
    moved = ("window", "times_s", "boxes", "state", "score")
    rows = change(rows, Tube, 0, **{name: getattr(tube, name) for name in moved})
    rows = change(rows, EventObject, 0, sounding=(Interval(start_s=2.0, end_s=6.0),))
    whole = (Interval(start_s=2.0, end_s=12.0),)
    rows = change(rows, Event, 0, label="dog barking", description=HOSTILE, segments=whole)
    rows = change(rows, Inspection, 0, segments=whole)
    rows = change(rows, Event, 1, label="bell ringing")
    rows = change(rows, Question, 0, question=HOSTILE)
    # The tube was moved after the questions about it were made.
    config = CONFIG.model_copy(update={"limits": {"rederived": 3}})
    out = publish(make_source(rows), tmp_path_factory.mktemp("r"), config, now=factories.NOW)
    return Release(out.folder), films


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or EARSHOT_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as running:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        found = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture(params=[False, True], ids=["linked", "embedded"])
def page(world: tuple[Release, Path], browser: Any, tmp_path: Path, request: Any) -> Iterator[Any]:
    """The page, open; its errors fail the test."""
    release, films = world
    done = write_page(release, tmp_path / "page.html", films, embed=request.param)
    assert (done.videos, done.of, done.playable) == (4, 4, 1)
    faults: list[str] = []
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(done.path.as_uri())
    tab.wait_for_function("video.readyState >= 2")
    yield tab
    tab.close()
    assert faults == []


def seek(page: Any, time_s: float) -> None:
    """Go to a time and wait until its frame is drawn over."""
    page.evaluate(f"seek({time_s})")
    page.wait_for_function(f"!video.seeking && Math.abs(clockS - {time_s}) < 0.03")


def painted(page: Any) -> tuple[float, ...]:
    """The red box on the screen, in pixels of the picture, without what is drawn over it."""
    page.evaluate("canvas.style.visibility = 'hidden'")
    shot = page.locator("#screen").screenshot()
    page.evaluate("canvas.style.visibility = ''")
    with Image.open(io.BytesIO(shot)) as image:
        red = np.asarray(image.convert("RGB")).astype(int)
    ys, xs = np.nonzero((red[..., 0] > 120) & (red[..., 1] < 90))
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


def test_boxes_lie_on_the_picture_at_three_times(page):
    """Within two pixels of the screen: on a sample, and between two."""
    for time_s in (2.4, 5.04, 9.16):
        seek(page, time_s)
        (drawn,) = page.evaluate("boxesAt(clockS).map(b => b.xyxy)")
        assert np.abs(np.array(drawn) - painted(page)).max() <= 2


def test_boxes_follow_while_it_plays(page):
    """What is drawn belongs to the frame that is shown, by the frame's own time."""
    page.evaluate(
        "window.seen = []; const old = draw;"
        "draw = (t) => { old(t); seen.push([t, video.currentTime]); }; 0"
    )
    seek(page, 3.0)
    page.click("#play")
    page.wait_for_function("seen.length > 12")
    page.click("#play")
    seen = page.evaluate("seen")
    times = [time_s for time_s, _ in seen]
    assert times == sorted(times)
    assert all(abs(time_s * FPS - round(time_s * FPS)) < 0.01 for time_s in times[1:])
    assert page.evaluate("video.paused")


def test_an_absent_tube_has_no_box_and_sound_is_shown(page):
    """Behind its last sight nothing is drawn; the name has a note while the thing sounds."""
    seek(page, 11.0)
    assert page.evaluate("boxesAt(clockS)") == []
    heard = page.evaluate("[3, 7].map(t => sounds(shown.objects[0].id, t))")
    assert heard == [True, False]
    wave = page.evaluate("shown.wave")
    loud = [i / len(wave) * 20 for i, v in enumerate(wave) if v > 50]
    assert (round(min(loud)), round(max(loud))) == (2, 6)
    bar = page.locator("#rows .row").first.locator(".seg")
    left, width = (bar.evaluate(f"e => parseFloat(e.style.{side})") for side in ("left", "width"))
    assert (left, width) == (10, 50)


def test_filters_and_a_video_that_is_not_at_hand(page):
    """By task, category and word; what can't be played says so, and shows its tubes."""
    items = page.locator("#list li")
    assert items.count() == 4
    page.select_option("#category", "bell ringing")
    assert items.count() == 1
    assert "The video is not at hand: not found in" in page.inner_text("#absent")
    assert page.evaluate("shown.uri") in page.inner_text("#absent")
    window = page.evaluate("shown.tubes[0].window")
    page.evaluate(f"seek({window[0] + 0.2})")
    assert len(page.evaluate("boxesAt(clockS)")) == 1
    with Image.open(io.BytesIO(page.locator("#screen").screenshot())) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (np.abs(pixels - (0x56, 0xB4, 0xE9)).max(axis=2) < 8).sum() > 500  # its box is seen
    page.select_option("#category", "")
    page.fill("#search", "no such word")
    assert "Nothing fits" in page.inner_text("#list")
    page.fill("#search", "v002")
    page.select_option("#task", "spatial")
    assert (items.count(), page.locator("#questions .card").count()) == (1, 1)


def test_questions_and_inspection_stand_beside_it(page):
    """A click on a question goes to its time; the verdict says who gave it; text stays text."""
    assert page.title() == "yard-v1 – earshot"
    assert HOSTILE in page.inner_text("#questions")
    assert "ok · rules alone" in page.inner_text("#events")
    span = page.evaluate("shown.questions.find(q => q.span).span")
    page.locator("#questions .card", has_text="spatial · sounding").first.click()
    page.wait_for_function(f"Math.abs(clockS - {span[0]}) < 0.05")
    assert "asked about" in page.inner_text("#rows")


def data_of(path: Path) -> dict[str, Any]:
    """What a page has in it."""
    found: dict[str, Any] = json.loads(
        path.read_text().split('id="data">')[1].split("</script>")[0]
    )
    return found


def test_another_film_of_that_name_is_not_played(world, tmp_path):
    """Tubes drawn on it would be wrong: the page says what it is, and plays what is right."""
    release, films = world
    wave = np.zeros((1, 48000), np.float32)
    (tmp_path / "films").mkdir()
    black = (np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(FPS))
    write_mp4(tmp_path / "films/v001.mp4", black, Fraction(FPS), (WIDTH, HEIGHT), (wave, 48000))
    (tmp_path / "films/v000.mp4").symlink_to(films / "v000.mp4")
    page = write_page(release, tmp_path / "page.html", tmp_path / "films")
    right, other, lost, _ = data_of(page.path)["videos"]
    assert (page.playable, bool(right["src"]), right["why"]) == (1, True, "")
    assert other["src"] is None
    assert "v001.mp4 is different: 1.00 s long, expected 20.00" in other["why"]
    assert "not found in" in lost["why"]


def test_tubes_are_as_the_inspection_in_force_left_them(tmp_path):
    """Also one that a revision left since replaced, and one in pixels beside others in shares."""
    rows = make_rows(1)
    (tube,), (event,) = rows[Tube], rows[Event]
    thing = factories.make_object("v000")
    first, second = (revision_of(tube, still(left)) for left in (0.05, 0.6))
    in_px = tube_of(
        thing,
        tube.window.pair,
        lambda _: (64.0, 36.0, 320.0, 180.0),
        ordinal=7,
        box_space="native_px",
        kind=RevisedTube,
    )
    drawn = InspectedTube(tube_id=in_px.tube_id, verdict="added", after_digest=in_px.digest)
    rows[Inspection] += [
        by_person(event, [judged(tube, "fixed", first), drawn], 0),
        by_person(event, [judged(tube, "fixed", second)], 1),
    ]
    rows[RevisedTube] = [second, in_px]
    rows[ShownTube] = [ShownTube.of(Tube(**each.model_dump())) for each in (tube, first, second)]
    config = CONFIG.model_copy(update={"limits": {"rederived": 3, "coverage": 3}})

    def boxes(name: str) -> tuple[list[float], ...]:
        out = publish(make_source(rows), tmp_path / name, config, now=factories.NOW)
        page = write_page(Release(out.folder), tmp_path / f"{name}.html")
        (video,) = data_of(page.path)["videos"]
        found = {each["id"]: next(filter(None, each["boxes"])) for each in video["tubes"]}
        return found[tube.tube_id], found[in_px.tube_id]

    assert boxes("two") == ([0.6, 0.3, 0.8, 0.7], [0.1, 0.1, 0.5, 0.5])
    rows[Inspection][-1] = rows[Inspection][1].model_copy(update={"inspection_id": "v000/e/i-9"})
    assert boxes("one") == ([0.05, 0.3, 0.25, 0.7], [0.1, 0.1, 0.5, 0.5])


def test_a_page_of_some_videos_says_of_how_many(world, tmp_path):
    """The first of them, or those that are named; others are refused."""
    release, _ = world
    assert write_page(release, tmp_path / "a.html", limit=2).of == 4
    page = write_page(release, tmp_path / "b.html", videos=["v003"])
    text = page.path.read_text()
    assert [video["id"] for video in data_of(page.path)["videos"]] == ["v003"]
    assert "http" not in text.replace("<!doctype html>", "").split("<script type")[0]
    with pytest.raises(InputError, match="v9: not among the 4 videos"):
        write_page(release, tmp_path / "c.html", videos=["v9"])
