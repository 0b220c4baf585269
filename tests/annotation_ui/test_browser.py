"""The real screen in a real browser: the right frame, the right box, keys that do what they say.

Needs Chromium (Debian's: apt-get install chromium) and playwright; skipped, saying so, without.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.desk import _settings
from earshot.annotation_ui.read import Decision, read_decision
from earshot.annotation_ui.server import Login, ServerFolder, serve
from earshot.annotation_ui.show import Shown, region_id, task_of
from earshot.media.encode import write_mp4
from earshot.media.review_clip import cut_clip, plan_clip
from earshot.schemas.object import Object
from earshot.schemas.tube import Box, Tube
from tests.annotation_ui.events import shown_of
from tests.factories import make_event, make_event_object, make_object, make_video
from tests.worlds import tube_of

pytestmark = pytest.mark.labelstudio

Json = dict[str, Any]
CHROMIUM = os.environ.get("EARSHOT_CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT = 320, 180
RATES = (Fraction(25), Fraction(30000, 1001))
BARS = 9
MARKUP = "<img src=x onerror=\"document.title='injected'\">"


def box_at(index: int) -> tuple[int, int, int, int]:
    """Where the painted box is in frame `index` of the video."""
    return (20 + index // 2, 70, 80 + index // 2, 130)


def dog() -> Object:
    """The thing that is painted; a language model named it."""
    return make_object(name=f"dog {MARKUP}")


def paint(path: Path, fps: Fraction, n: int) -> None:
    """Frames that carry their number as bars and a box that moves; a tone in the middle."""

    def frames() -> Iterator[np.ndarray]:
        for index in range(n):
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            for bit in range(BARS):
                picture[:30, 32 * bit : 32 * bit + 32] = 255 * (index >> bit & 1)
            x1, y1, x2, y2 = box_at(index)
            picture[y1:y2, x1:x2] = (200, 40, 40)
            yield picture

    wave = np.zeros((1, round(n / fps * 48000)), np.float32)
    wave[0, 48000 * 4 : 48000 * 6] = 0.5 * np.sin(np.arange(96000) / 12)
    write_mp4(path, frames(), fps, (WIDTH, HEIGHT), (wave, 48000))


def follow(fps: Fraction, n: int, ordinal: int = 0) -> Tube:
    """A tube on the painted box, each fifth frame."""
    thing = dog()
    window = (2.0, 8.0)
    at = [i for i in range(n) if window[0] <= i / fps < window[1]][::5]
    size = (WIDTH, HEIGHT, WIDTH, HEIGHT)
    names = ("x1", "y1", "x2", "y2")
    shares = [[v / s for v, s in zip(box_at(i), size, strict=True)] for i in at]
    boxes = tuple(Box(**dict(zip(names, share, strict=True))) for share in shares)
    return tube_of(
        thing, window, ordinal=ordinal,
        times_s=tuple(round(float(i / fps), 6) for i in at), boxes=boxes,
        state=("visible",) * len(at), score=(0.9,) * len(at),
    )  # fmt: skip


def event_at(folder: ServerFolder, tmp: Path, fps: Fraction, label: str, *ordinals: int) -> Shown:
    """An event from 4 to 6 s of a painted video, with its clip in the media root."""
    n = int(11 * fps)
    source = tmp / f"{float(fps):.2f}.mp4"
    if not source.exists():
        paint(source, fps, n)
    video = make_video(width=WIDTH, height=HEIGHT, fps=float(fps), duration_s=float(n / fps))
    plan = plan_clip(video.duration_s, video.fps, (WIDTH, HEIGHT), (4.0, 6.0), 2.5)
    name = f"clips/bars-{float(fps):.2f}-{plan.width}.mp4"
    (folder.media / "clips").mkdir(exist_ok=True)
    if not (folder.media / name).exists():
        cut_clip(source, folder.media / name, plan)
    event, thing = make_event(segments=((4.0, 6.0),), label=label), dog()
    return shown_of(
        *(follow(fps, n, ordinal) for ordinal in ordinals),
        clock=Clock(plan.offset_s, float(plan.fps), plan.n_frames),
        video=video, event=event, objects=[thing], parts=[make_event_object(event, thing)],
        clip=name, captions=[f"{MARKUP} A dog barks."],
    )  # fmt: skip


class Screen:
    """A browser on the labeling page of a project."""

    def __init__(self, page: Any, login: Login, client: LabelStudio, project: int) -> None:
        self.page, self.login, self.client, self.project = page, login, client, project
        self.keys = self.clicks = 0

    def open(self, task: int) -> None:
        """Open a task alone and wait until picture and waveform are there."""
        self.page.goto(f"{self.login.url}/projects/{self.project}/data?task={task}")
        self.wait()

    def wait(self, limit_s: float = 90, settle_s: float = 0.5) -> None:
        """Wait until the video says how many frames it has and the waveform is drawn."""
        ends = time.monotonic() + limit_s
        while time.monotonic() < ends:
            body = self.page.inner_text("body")
            counts = [int(each) for each in re.findall(r"\d+\s*of (\d+)", body)]
            if max(counts, default=0) > 50 and "Loading" not in body and "Initial" not in body:
                time.sleep(settle_s)
                return
            time.sleep(0.1)
        raise AssertionError(f"the page does not come up: {body[:500]}")

    def js(self, code: str) -> Any:
        """Ask the page; `v` is the video tag, `rs` the regions by id."""
        head = "const a = Htx.annotationStore.selected, v = a.names.get('video');"
        rs = "const rs = Object.fromEntries(a.regions.map(r => [r.cleanId, r]));"
        return self.page.evaluate(f"() => {{ {head} {rs} {code} }}")

    def seek(self, frame: int) -> None:
        """Show a frame."""
        self.js(f"v.setFrame({frame})")
        time.sleep(1.0)

    @property
    def picture(self) -> tuple[float, float, float]:
        """Left, top and scale of the picture on the page."""
        canvas = self.page.locator("canvas").first.bounding_box()
        scale = min(canvas["width"] / WIDTH, canvas["height"] / HEIGHT, 2.0)  # the clip's own size
        left = canvas["x"] + (canvas["width"] - WIDTH * scale) / 2
        return left, canvas["y"] + (canvas["height"] - HEIGHT * scale) / 2, scale

    def number(self) -> int:
        """The number that the shown frame carries."""
        left, top, scale = self.picture
        pixels = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("L"))
        row = pixels[round(top + 15 * scale)]
        return sum(1 << b for b in range(BARS) if row[round(left + (32 * b + 16) * scale)] > 128)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse from point to point."""
        mouse = self.page.mouse
        self.clicks += 1
        mouse.move(*start)
        mouse.down()
        for step in range(1, 9):
            mouse.move(*(a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)))
            time.sleep(0.03)
        mouse.up()
        time.sleep(0.4)

    def on_picture(self, x: float, y: float) -> tuple[float, float]:
        """The page's point for a pixel of the video."""
        left, top, scale = self.picture
        return left + x * scale, top + y * scale

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1
            time.sleep(0.4)

    def answers(self, task: int) -> list[Json]:
        """What was submitted of a task."""
        found: list[Json] = self.client.get(f"/api/tasks/{task}/annotations/")
        return found

    def submit(self, task: int) -> Json:
        """Press Ctrl+Enter and return the annotation that came of it."""
        self.press("Control+Enter")
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            if found := self.answers(task):
                return found[-1]
            time.sleep(0.3)
        raise AssertionError("nothing was submitted")


@pytest.fixture(scope="module")
def folder(server: tuple[ServerFolder, Login]) -> ServerFolder:
    """The folder of a running server."""
    return server[0]


@pytest.fixture(scope="module")
def screen(folder: ServerFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """A logged in browser with a project of its own."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or EARSHOT_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    login, _ = serve(folder, print)
    client = LabelStudio(login.url, login.token)
    (folder.media / "clips").mkdir(exist_ok=True)
    project = int(client.post("/api/projects/", _settings(f"screen {time.time():.0f}"))["id"])
    client.serve_folder(project, str(folder.media / "clips"), "clips")
    with playwright.sync_playwright() as running:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{login.url}/user/login/")
        page.fill("input[name=email]", login.email)
        page.fill("input[name=password]", login.password)
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
        yield Screen(page, login, client, project)
        browser.close()


def send(screen: Screen, *shown: Shown) -> list[int]:
    """Import tasks; return their numbers."""
    return screen.client.import_tasks(screen.project, [task_of(each) for each in shown])


def decision(screen: Screen, shown: Shown, task: int, annotation: Json) -> Decision:
    """What the pipeline makes of an annotation."""
    whole = json.loads(json.dumps(task_of(shown)))
    sent = whole["predictions"][0]["result"]
    dense = {tube.digest: tube for tube in shown.tubes}
    found = read_decision(1, {"id": task, "data": whole["data"]}, annotation, sent, dense)
    assert found is not None
    return found


@pytest.mark.parametrize("fps", RATES, ids=["25", "29.97"])
def test_frame_n_is_shown_with_its_box(
    screen: Screen, folder: ServerFolder, tmp_path: Path, fps: Fraction
) -> None:
    """At start, middle and end: the very frame, its box within 2 px; a caption is no markup."""
    shown = event_at(folder, tmp_path, fps, f"bars {fps} {MARKUP}", 0)
    (task,) = send(screen, shown)
    screen.open(task)
    assert screen.js("return v.length") == shown.clock.n_frames
    first = round(shown.clock.offset_s * fps)
    for frame in (1, shown.clock.n_frames // 2, shown.clock.n_frames):
        screen.seek(frame)
        assert screen.number() == first + frame - 1
        if fps * 2 <= first + frame - 1 < fps * 8 - 5:
            at = screen.js(f"return rs['{region_id(shown.tubes[0])}'].getShape({frame})")
            drawn = [at["x"] * WIDTH / 100, at["y"] * HEIGHT / 100]
            assert drawn == pytest.approx(box_at(first + frame - 1)[:2], abs=2 / screen.picture[2])
    # In caption, label and name.
    assert screen.page.inner_text("body").count(MARKUP) >= 3
    assert screen.page.title() != "injected"


def test_edits_do_what_they_should(screen: Screen, folder: ServerFolder, tmp_path: Path) -> None:
    """A moved, a new and a deleted box, and a dragged edge, by mouse and keys alone."""
    fps = RATES[0]
    shown = event_at(folder, tmp_path, fps, "edits", 0, 1)
    (task,) = send(screen, shown)
    screen.open(task)
    frame = shown.clock.n_frames // 2
    screen.seek(frame)
    index = round(shown.clock.offset_s * fps) + frame - 1
    x1, y1, x2, y2 = box_at(index)
    # The two tubes lie on each other: the upper one is picked, moved down, then the lower deleted.
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    screen.drag(screen.on_picture(*middle), screen.on_picture(middle[0], middle[1] + 30))
    screen.press("u")
    screen.page.mouse.click(*screen.on_picture(middle[0], y1 + 8))
    time.sleep(0.5)
    screen.press("Backspace", "1")
    screen.drag(screen.on_picture(220, 60), screen.on_picture(280, 120))
    screen.press("u")
    canvas = screen.page.locator("canvas").last.bounding_box()
    end_s = shown.clock.clip_s(6.0)
    edge = canvas["x"] + canvas["width"] * end_s / shown.clock.duration_s
    level = canvas["y"] + canvas["height"] / 2
    screen.drag((edge, level), (edge - 60, level))
    screen.press("a")
    found = decision(screen, shown, task, screen.submit(task))
    verdicts = sorted(each.verdict for each in found.inspection.tubes)
    assert verdicts == ["added", "fixed", "rejected"]
    fixed = next(each for each in found.revised if each.parent_digest)
    times = np.array(fixed.times_s)
    here = int(np.argmin(np.abs(times - index / fps)))
    assert fixed.boxes[here] is not None
    assert fixed.boxes[here].y1 * HEIGHT == pytest.approx(y1 + 30, abs=2)  # type: ignore[union-attr]
    added = next(each for each in found.revised if not each.parent_digest)
    (box, *_) = [each for each in added.boxes if each]
    drawn = [v * s for v, s in zip(box.xyxy, (WIDTH, HEIGHT, WIDTH, HEIGHT), strict=True)]
    assert drawn == pytest.approx([220, 60, 280, 120], abs=2)
    (segment,) = found.inspection.segments
    moved_s = 60 / canvas["width"] * shown.clock.duration_s
    assert segment.start_s == 4.0
    assert segment.end_s == pytest.approx(6.0 - moved_s, abs=0.1)


def test_a_box_is_taken_away_with_its_reason_by_one_key(
    screen: Screen, folder: ServerFolder, tmp_path: Path
) -> None:
    """Select it, `k`: its tube is rejected as another thing, and the event lives on."""
    shown = event_at(folder, tmp_path, RATES[0], "taken away", 0)
    (task,) = send(screen, shown)
    screen.open(task)
    frame = shown.clock.n_frames // 2
    screen.seek(frame)
    x1, y1, x2, y2 = box_at(round(shown.clock.offset_s * RATES[0]) + frame - 1)
    screen.page.mouse.click(*screen.on_picture((x1 + x2) / 2, (y1 + y2) / 2))
    time.sleep(0.5)
    screen.press("k", "a")
    found = decision(screen, shown, task, screen.submit(task)).inspection
    assert [(tube.verdict, tube.reason) for tube in found.tubes] == [("rejected", "another thing")]
    assert found.verdict == "ok"


def test_submit_is_blocked_until_all_is_said(
    screen: Screen, folder: ServerFolder, tmp_path: Path
) -> None:
    """No verdict, then a reject without a reason: both are refused; with a reason it goes."""
    shown = event_at(folder, tmp_path, RATES[0], "reject", 0)
    (task,) = send(screen, shown)
    screen.open(task)
    screen.press("Control+Enter")
    time.sleep(1)
    assert "Say ok, reject or unsure" in screen.page.inner_text("body")
    screen.press("Escape", "r", "Control+Enter")
    time.sleep(1)
    assert "Say why it is rejected" in screen.page.inner_text("body")
    assert screen.answers(task) == []
    screen.press("Escape", "z")
    found = decision(screen, shown, task, screen.submit(task)).inspection
    assert (found.verdict, found.reasons) == ("reject", ("no such sound",))


def test_a_sure_event_takes_two_keys(
    screen: Screen, folder: ServerFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifty events through the stream: `a`, Ctrl+Enter, the next one comes; each answered once."""
    shown = [event_at(folder, tmp_path, RATES[0], f"run {number}", 0) for number in range(50)]
    tasks = send(screen, *shown)
    screen.page.goto(f"{screen.login.url}/projects/{screen.project}/data?labeling=1")
    screen.keys = screen.clicks = 0
    seconds, loading, done = [], [], set()
    while len(done) < len(tasks):
        began = time.monotonic()
        screen.wait(settle_s=0.0)
        loading.append(time.monotonic() - began)
        task = int(screen.js("return a.store.task.id"))
        assert task not in done
        done.add(task)
        screen.page.keyboard.press("a")
        screen.page.keyboard.press("Control+Enter")
        screen.keys += 2
        while int(screen.js("return a ? a.store.task.id : 0")) == task:
            if time.monotonic() - began > 60 or (len(done) == len(tasks) and screen.answers(task)):
                break
            time.sleep(0.1)
        seconds.append(time.monotonic() - began)
    answers = [screen.answers(task) for task in done]
    assert [len(each) for each in answers] == [1] * len(tasks)
    assert not any(each["was_cancelled"] for (each,) in answers)
    verdicts = [[r["value"]["choices"] for r in each["result"] if r["from_name"] == "verdict"]
                for (each,) in answers]  # fmt: skip
    assert verdicts == [[["ok"]]] * len(tasks)
    assert (screen.keys, screen.clicks) == (2 * len(tasks), 0)
    with capsys.disabled():
        print(
            f" {len(tasks)} ok tasks: {screen.keys / len(tasks):.1f} keys, "
            f"{screen.clicks / len(tasks):.1f} clicks, {np.median(seconds):.1f} s each, of which "
            f"{np.median(loading):.1f} s until picture and waveform are there"
        )
