"""Videos without text get captions from frames, marked as generated, through the same client."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from earshot.media.sample_world import write_sample_video
from earshot.media.stills import wav_base64
from earshot.schemas.config import CaptionsConfig
from earshot.tasks.caption_videos.asked import frame_times, read_captions
from earshot.tasks.llm.dialogue import BrokenRuleError
from tests.llm_server import LlmServer, Reply, error, good_answer
from tests.tasks.llm.conftest import World, count

ON = {"generate": "openai", "generate_fps": 0.25, "generate_px": 64}


def is_about_frames(body: dict[str, Any]) -> bool:
    """Whether a request shows frames."""
    return not isinstance(body["messages"][1]["content"], str)


def answer(body: dict[str, Any]) -> Reply:
    """A model that sees a dog in every video, and reads captions."""
    if not is_about_frames(body):
        return Reply(good_answer(body))
    length_s = float(re.findall(r"The video is (\S+) s long", str(body["messages"][1]))[0])
    captions = [
        {"start_s": 0, "end_s": 0.6 * length_s, "text": "A dog barks at the gate."},
        {"start_s": 0.5 * length_s, "end_s": length_s, "text": "A cat  lies on the wall."},
    ]
    return Reply(json.dumps({"captions": captions}))


@pytest.fixture
def silent(world: World, server: LlmServer) -> World:
    """Three videos: one with a caption, one with labels only, one with nothing."""
    server.answer = answer
    rows = [
        {"video_id": "told", "captions": [{"start_s": 0, "end_s": 9, "text": "A cow moos."}]},
        {"video_id": "label", "events": [{"label": "dog barking",
                                          "segments": [{"start_s": 1, "end_s": 11}]}]},
        {"video_id": "nothing"},
    ]  # fmt: skip
    lines = [json.dumps({**row, "uri": str(world.clip)}) for row in rows]
    world.manifest.write_text("\n".join(lines) + "\n")
    return world


def shown(server: LlmServer) -> list[dict[str, Any]]:
    """The requests that show frames."""
    return [body for body in server.requests if is_about_frames(body)]


def test_videos_without_text_are_described(silent: World, server: LlmServer) -> None:
    """Captions come with times and `generated`; a video that has text costs nothing; labels stand
    as the events that they are."""
    silent.set(captions=ON)
    assert silent.plan()["cost_behind"]["calls"] == 2
    said = silent.build()
    assert count(said, "caption")["done"] == 3
    assert count(said, "captions", "caption")["done"] == 6
    rows = silent.rows(
        "SELECT caption_id, start_s, end_s, text, caption_source "
        "FROM '{stages}/captions/*/captions.parquet' ORDER BY ALL"
    )
    dog, cat = "A dog barks at the gate.", "A cat lies on the wall."
    assert rows == [
        ("label/c1", 0, 12, dog, "generated"),
        ("label/c2", 10, 20, cat, "generated"),
        ("nothing/c0", 0, 12, dog, "generated"),
        ("nothing/c1", 10, 20, cat, "generated"),
        ("told/c0", 0, 9, "A cow moos.", "given"),
    ]
    (body, other) = sorted(shown(server), key=lambda b: len(str(b["messages"][1])))
    del body
    assert 'Event that is heard: "dog barking", 1.0 to 11.0 s' in str(other)
    digests = silent.rows(
        "SELECT count(DISTINCT prompt_digest) FROM '{stages}/caption/*/generated_captions.parquet'"
    )
    assert digests == [(1,)]
    assert said["cost"]["usd"] > 0


def test_frames_are_shown_with_their_times(silent: World, server: LlmServer) -> None:
    """Five frames of 20 s, evenly apart, as JPEGs of the asked size; nothing else is sent."""
    silent.set(captions=ON)
    silent.build()
    parts = shown(server)[0]["messages"][1]["content"]
    times = [part["text"] for part in parts if part["type"] == "text"][1:]
    assert times == ["2.0 s", "6.0 s", "10.0 s", "14.0 s", "18.0 s"]
    pictures = [part for part in parts if part["type"] == "image_url"]
    assert [set(part) for part in pictures] == [{"type", "image_url"}] * 5
    data = base64.b64decode(pictures[0]["image_url"]["url"].partition(",")[2])
    assert max(Image.open(io.BytesIO(data)).size) == 64


def test_a_rerun_decodes_nothing_and_asks_nothing(
    silent: World, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is known by the file's sha256 and the times: answers are found without frames."""
    silent.set(captions=ON)
    silent.build()
    sent = len(server.requests)

    def refuse(_: object) -> str:
        raise AssertionError("a frame was encoded")

    monkeypatch.setattr("earshot.tasks.caption_videos.describe.jpeg_url", refuse)
    again = silent.build(force=("caption",))
    assert count(again, "caption")["done"] == 3
    assert len(server.requests) == sent


def test_without_the_switch_there_is_no_such_stage(silent: World, server: LlmServer) -> None:
    """By default nothing is generated, and a video without text is quarantined as ever."""
    said = silent.build()
    assert "caption" not in {each["stage"] for each in said["stages"]}
    assert count(said, "captions")["reasons"] == {"no_text": 1}
    assert not shown(server)


def test_a_bad_answer_is_repaired_or_quarantined(silent: World, server: LlmServer) -> None:
    """Times beyond the end go back to the model; what stays wrong never becomes captions."""
    bad = json.dumps({"captions": [{"start_s": 0, "end_s": 99, "text": "A dog."}]})
    server.answer = lambda body: Reply(bad) if is_about_frames(body) else Reply(good_answer(body))
    silent.set(captions=ON)
    said = silent.build()
    assert count(said, "caption")["reasons"] == {"bad_answer": 2}
    assert len(shown(server)) == 6
    assert "outside of the video: 0 to 20 s" in str(shown(server)[-1])


def test_an_explicit_nothing_is_told(silent: World, server: LlmServer) -> None:
    """A model that makes out nothing says so: the video ends as `no_text`, its label as a label."""
    server.answer = lambda body: (
        Reply('{"captions": []}') if is_about_frames(body) else Reply(good_answer(body))
    )
    silent.set(captions=ON)
    said = silent.build()
    assert count(said, "caption")["reasons"] == {"empty": 2}
    assert count(said, "captions")["reasons"] == {"no_text": 1}


def test_a_batch_describes_videos_too(silent: World, server: LlmServer) -> None:
    """The first build sends the frames, the second the captions, the third has all."""
    server.batch_answer = answer
    silent.set(captions=ON)
    assert count(silent.build(mode="batch"), "caption")["reasons"] == {"for_batch": 2}
    assert count(silent.build(mode="batch"), "caption")["done"] == 3
    assert count(silent.build(mode="batch"), "analyse")["done"] == 3
    assert server.requests == []


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ([{"start_s": 3, "end_s": 3, "text": "A dog."}], "start must be below end"),
        ([{"start_s": 0, "end_s": 3, "text": "  "}], "expected 1 to 600"),
        ([{"start_s": 0, "end_s": 30, "text": "A dog."}], "outside of the video"),
        ([{"start_s": 0, "end_s": 3, "text": "A dog."}] * 41, "at most 40"),
        ([{"start_s": False, "end_s": 3, "text": "A dog."}], "expected a number, found false"),
        ([{"end_s": 3, "text": "A dog."}], "captions.0.start_s: Field required"),
    ],
)
def test_rules_of_captions(captions: list[dict[str, Any]], message: str) -> None:
    """What is wrong is said in words that a model can act on."""
    with pytest.raises(BrokenRuleError, match=message):
        read_captions(json.dumps({"captions": captions}), 20)


def test_frame_times_cover_the_video() -> None:
    """At most so many, in the middles of equal pieces; a short video has one at least."""
    config = CaptionsConfig(generate_fps=1, generate_frames=4)
    assert frame_times(20, config) == (2.5, 7.5, 12.5, 17.5)
    assert frame_times(0.4, config) == (0.2,)


@pytest.fixture
def loud(silent: World, tmp_path: Path) -> World:
    """The same, and the videos have sound."""
    write_sample_video(tmp_path, 7, 0)
    (file,) = tmp_path.glob("*.mp4")
    silent.manifest.write_text(silent.manifest.read_text().replace(str(silent.clip), str(file)))
    silent.set(captions={**ON, "generate_audio": True})
    return silent


def sounds(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a request that are sound."""
    return [part for part in body["messages"][1]["content"] if part["type"] == "input_audio"]


def test_the_sound_is_in_the_request(loud: World, server: LlmServer) -> None:
    """One WAV a video behind its frames, in the form of the API; a rerun asks nothing."""
    said = loud.build()
    assert count(said, "caption")["done"] == 3
    assert len(shown(server)) == 2
    for body in shown(server):
        (part,) = sounds(body)
        assert set(part) == {"type", "input_audio"}
        assert part["input_audio"]["format"] == "wav"
        with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as file:
            assert file.getframerate() == 16_000
            assert file.getnframes() > 16_000
    loud.build(force=("caption",))
    assert len(shown(server)) == 2


@pytest.mark.parametrize("known", [False, True])
def test_an_endpoint_that_does_not_hear_gets_frames_alone(
    known: bool, loud: World, server: LlmServer
) -> None:
    """Its refusal is learned once, also where the rest of its dialect was known before."""
    if known:
        loud.set(captions={})
        loud.build()

    def deaf(body: dict[str, Any]) -> Reply:
        if is_about_frames(body) and sounds(body):
            return error(400, "This model does not support input_audio content")
        return answer(body)

    server.answer = deaf
    loud.set(captions={**ON, "generate_audio": True}, in_flight=1)
    said = loud.build()
    assert count(said, "caption")["done"] == 3
    assert [len(sounds(body)) for body in shown(server)] == [1, 0, 0]
    kinds = {body.get("response_format", {}).get("type") for body in server.requests}
    assert kinds == {"json_schema"}
    (dialect,) = (loud.workspace / "requests" / "dialects").iterdir()
    assert json.loads(dialect.read_text())["takes_sound"] is False


def test_a_batch_learns_that_an_endpoint_does_not_hear(loud: World, server: LlmServer) -> None:
    """The next batch has the frames alone."""
    server.batch_answer = lambda body: (
        error(400, "no audio, please") if is_about_frames(body) and sounds(body) else answer(body)
    )
    for _ in range(2):
        assert count(loud.build(mode="batch"), "caption")["reasons"] == {"for_batch": 2}
    assert count(loud.build(mode="batch"), "caption")["done"] == 3


def test_sound_is_sent_where_it_is_wanted(tmp_path: Path) -> None:
    """16 kHz mono WAV of the whole track, whatever the file has; None without a track."""
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        wave_form = np.sin(np.arange(44_100) * 0.05).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave_form] * 2), "fltp", "stereo")
        frame.sample_rate = 44_100
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    data = wav_base64(path)
    assert data is not None
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert file.getnframes() == pytest.approx(16_000, rel=0.1)
