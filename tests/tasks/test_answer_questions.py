"""Every question is asked once, patiently, with frames and their times; a rerun asks the rest."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from earshot.errors import EarshotError, InputError
from earshot.prompts.answering import answer_prompt
from earshot.rewards.grammar import parse
from earshot.schemas.video import Video
from earshot.tasks.answer_questions.answer import Answered, Asking, answer_questions
from earshot.tasks.answer_questions.endpoint import Patience
from earshot.tasks.answer_questions.pictures import frame_times
from earshot.tasks.answer_questions.prompt import system_prompt
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.score_answers.read import read_release
from earshot.tasks.score_answers.score import score_answers
from tests import factories
from tests.fake_openai import Fault, Model, question_of, serve
from tests.tasks.publish_release import conftest as worlds

QUICK = Patience(attempts=3, timeout_s=5, first_wait_s=0.001, longest_wait_s=0.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of four videos; the test one is a real file beside it, under `videos/`."""
    folder = tmp_path_factory.mktemp("answers")
    rows = worlds.make_rows(4)
    path = folder / "videos" / "v003.mp4"
    _write_video(path, seconds=20)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    size = {"width": 64, "height": 48, "fps": 5.0}
    rows = worlds.change(rows, Video, 3, sha256=sha256, **size)
    config = worlds.CONFIG
    publish(worlds.make_source(rows), folder, config, now=factories.NOW)
    return folder


def _write_video(path: Path, seconds: int) -> None:
    """A film of 64 x 48 pixels at 5 frames a second that becomes brighter."""
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        for index in range(5 * seconds):
            picture = np.full((48, 64, 3), 2 * index, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def model() -> Iterator[Model]:
    """A server that repeats the question."""
    with serve(Model()) as model:
        yield model


@pytest.fixture
def ask(folder: Path, model: Model, tmp_path: Path):
    """Asks the test questions and returns what became of them."""

    def run(out: str = "p.jsonl", name: str = "m", max_frames: int = 0, **more) -> Answered:
        asking = Asking(model.url, name, max_frames=max_frames, patience=QUICK, **more)
        return answer_questions(
            folder / "yard-v1", tmp_path / out, asking, folder, cache=tmp_path / "cache"
        )

    return run


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_right_answers_come_back_as_right(ask, model, folder, tmp_path):
    """What the model says is what the scorer reads."""
    release = read_release(folder / "yard-v1")
    asked = release.of_split("test")
    by_words = {(q.question, system_prompt(q, release.system_prompts)): q.answer for q in asked}
    model.reply = lambda request: by_words[question_of(request), request["messages"][0]["content"]]
    result = ask()
    assert (result.questions, result.answered, result.failed) == (3, 3, 0)
    report = score_answers(folder / "yard-v1", tmp_path / "p.jsonl")
    assert report.predictions.missing == 0
    assert report.whole("spatio_temporal").metrics["m_vIoU"].mean == 1.0
    assert {row["model"] for row in _rows(tmp_path / "p.jsonl")} == {"m"}


def test_frames_go_with_their_times(ask, model):
    """Each image is a JPEG behind its time; the question comes last, the truth never."""
    ask(max_frames=3, in_flight=1)
    system, user = model.requests[0]["messages"]
    assert "<answer>" in system["content"]
    parts = user["content"]
    assert [part["type"] for part in parts] == ["text"] + ["text", "image_url"] * 3 + ["text"]
    times_s = [float(part["text"].removesuffix(" s")) for part in parts[1:-1:2]]
    assert times_s == pytest.approx([0, 20 / 3, 40 / 3], abs=0.05)
    data = base64.b64decode(parts[2]["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (64, 48))
    assert "truth" not in json.dumps(model.requests)


def test_no_frame_at_all_is_the_blind_question(ask, model):
    """`max_frames` 0 needs no video."""
    ask()
    parts = model.requests[0]["messages"][1]["content"]
    assert {part["type"] for part in parts} == {"text"}


def test_a_rerun_asks_only_what_is_missing(ask, model, tmp_path):
    """A failed question is asked again, an answered one never, a torn line is ended first."""
    model.faults = [Fault(400)]
    first = ask(in_flight=1)
    assert (first.answered, first.failed) == (2, 1)
    path = tmp_path / "p.jsonl"
    failed = next(row for row in _rows(path) if row["completion"] is None)
    assert "scripted" in str(failed["error"])
    with path.open("a") as file:
        file.write('{"question_id": "to')
    second = ask()
    assert (second.before, second.answered) == (2, 1)
    assert len(model.requests) == 4
    assert json.loads(path.read_text().splitlines()[-1])["question_id"] == failed["question_id"]
    assert ask().before == 3
    assert len(model.requests) == 4


def test_it_waits_as_long_as_it_is_told(ask, model):
    """429 with Retry-After: not before; 500 and broken JSON: again as well."""
    model.faults = [Fault(429, retry_after="0.3"), Fault(500)]
    began = time.monotonic()
    assert ask(in_flight=1).answered == 3
    assert time.monotonic() - began >= 0.3
    assert len(model.requests) == 5


@pytest.mark.parametrize("body", [b"{oops", b"{}", b'{"choices": []}', b"[1]", b""])
def test_what_is_no_completion_is_asked_again(ask, model, body):
    """A broken body is a fault of the endpoint, not an answer."""
    model.faults = [Fault(200, body)]
    assert ask(in_flight=1).answered == 3
    assert len(model.requests) == 4


def test_patience_ends(ask, model, tmp_path):
    """After the last attempt the question has failed, the others are asked."""
    model.faults = [Fault(503)] * QUICK.attempts
    result = ask(in_flight=1)
    assert (result.answered, result.failed) == (2, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_all_stops_at_once(ask, model, status, tmp_path):
    """A wrong key is not tried on every question, and nothing is written for it."""
    model.faults = [Fault(status)] * 9
    with pytest.raises(EarshotError, match="check --endpoint, --model and EARSHOT_API_KEY"):
        ask(in_flight=1)
    assert len(model.requests) == 1
    assert not (tmp_path / "p.jsonl").read_text()


def test_no_more_than_asked_for_are_in_flight(ask, model):
    """Two at a time are open together, and never three."""
    both = threading.Barrier(2, timeout=5)
    left = [True, True]

    def reply(request):
        if left:
            left.pop()
            both.wait()
        return "x"

    model.reply = reply
    ask(in_flight=2)
    assert model.most_at_once == 2


def test_the_key_comes_from_the_environment(ask, model, monkeypatch, tmp_path):
    """EARSHOT_API_KEY before OPENAI_API_KEY, `none` without; never in the file."""
    for name in ("EARSHOT_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    ask("a.jsonl")
    monkeypatch.setenv("OPENAI_API_KEY", "open-key")
    ask("b.jsonl")
    monkeypatch.setenv("EARSHOT_API_KEY", "own-key")
    ask("c.jsonl")
    assert model.keys[::3] == ["Bearer none", "Bearer open-key", "Bearer own-key"]
    assert "-key" not in (tmp_path / "c.jsonl").read_text()


def test_missing_videos_are_said_and_their_questions_left(ask, folder, model, tmp_path):
    """Another file under the name is as missing as none: its sha256 differs."""
    asking = Asking(model.url, "m", patience=QUICK)
    release = folder / "yard-v1"
    for root, word in ((tmp_path, "v003.mp4"), (tmp_path / "other", "sha256")):
        (tmp_path / "other" / "videos").mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / "videos" / "v003.mp4").write_bytes(b"another film")
        result = answer_questions(release, tmp_path / "p", asking, root, cache=tmp_path / "c")
        assert word in result.missing_media["v003"]
        assert (result.answered, result.failed) == (0, 3)
    assert not model.requests
    assert score_answers(release, tmp_path / "p").predictions.missing == 3


def test_models_are_not_mixed_in_one_file(ask):
    """A file with another model's answers is refused."""
    ask()
    with pytest.raises(InputError, match="expected one model and prompt a file"):
        ask(name="another")


def test_frames_are_evenly_apart_when_there_are_too_many():
    """One a second while that fits, else as many as allowed, none behind the end."""
    assert frame_times(3.0, 1.0, 8) == (0.0, 1.0, 2.0)
    assert frame_times(20.0, 1.0, 4) == (0.0, 5.0, 10.0, 15.0)


def test_the_prompt_shows_the_grammar(folder):
    """The release holds one a task, with a version; its form is what the parser reads."""
    release = read_release(folder / "yard-v1")
    assert release.system_prompts.version == "1"
    for one in release.of_split("test"):
        text = system_prompt(one, release.system_prompts)
        form = text[text.index("<answer>") : text.index("</answer>") + 9]
        filled = form.replace("[start, end]", "[1.0, 2.0]").replace("name", "dog")
        filled = filled.replace("[left, top, right, bottom]", "[0.1, 0.1, 0.2, 0.2]")
        for number in ("1.0", "2.0"):
            filled = filled.replace("time:", f"{number}:", 1)
        assert parse(filled, one.task).format_ok
        assert "$" not in text
        assert "from 0 to 1" in text


def test_the_release_says_how_its_questions_are_asked(model, folder, tmp_path):
    """A changed installation asks as the release says; one without prompts is refused."""
    release = Path(shutil.copytree(folder / "yard-v1", tmp_path / "yard-v1"))
    manifest = release / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.chmod(0o644)
    content["system_prompts"] |= {"version": "another"}
    asking = Asking(model.url, "m", max_frames=0, patience=QUICK)
    manifest.write_text(json.dumps(content))
    answer_questions(release, tmp_path / "p.jsonl", asking)
    assert {row["prompt_version"] for row in _rows(tmp_path / "p.jsonl")} == {"another"}
    del content["system_prompts"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match="has no system prompts"):
        answer_questions(release, tmp_path / "q.jsonl", asking)


@pytest.mark.parametrize("task", ["temporal", "spatial", "spatio_temporal"])
@pytest.mark.parametrize("space", ["norm", "rel1000", "native_px", "resized_px"])
def test_pixels_name_their_frame(task, space):
    """A text for pixels leaves the size of the frame open, the others say all."""
    text = answer_prompt(task, space)
    assert ("$width x $height" in text) == (space in ("native_px", "resized_px"))
    assert text.count("$") == (2 if "$width" in text else 0)
