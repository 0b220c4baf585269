"""A release becomes training files on real videos: rows, truths, media, losses, batches."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
import wave
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from earshot.errors import InputError, ItemError, ReleaseError
from earshot.media.encode import write_mp4
from earshot.rewards import score
from earshot.schemas.arrow import from_table
from earshot.schemas.question import Question
from earshot.schemas.training import DroppedRow, ExportConfig, TrainingRow
from earshot.schemas.truth import Truth
from earshot.schemas.video import Video
from earshot.tasks.grpo.export import export
from earshot.tasks.grpo.footage import Clip, Footage
from earshot.tasks.grpo.plan import plan_digest
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from tests.factories import NOW
from tests.films import about_films, turn, write_film
from tests.tasks.grpo.conftest import FPS, grey, paint
from tests.tasks.publish_release.conftest import CONFIG, change, make_rows, make_source


def config(dialect: str = "verl", profile: str = "qwen2_5_vl", **changes: object) -> ExportConfig:
    """Batches of six prompts."""
    values = {"dialect": dialect, "profile": profile, "batch_prompts": 6, **changes}
    return ExportConfig.model_validate(values)


def rows_of(folder: Path) -> list[TrainingRow]:
    """The neutral rows, in order."""
    return from_table(TrainingRow, pq.read_table(folder / "rows.parquet"))


def dropped_of(folder: Path) -> list[DroppedRow]:
    """What was left out."""
    return from_table(DroppedRow, pq.read_table(folder / "dropped.parquet"))


@pytest.fixture(scope="module")
def verl(release, films, tmp_path_factory):
    """An export for verl, its folder and manifest."""
    out = tmp_path_factory.mktemp("out") / "verl"
    return out, export(release, films, out, config(ranks=2))


def test_all_of_train_and_nothing_else(verl, release):
    """In = prompts + dropped; no question of validation or test."""
    folder, manifest = verl
    rows = rows_of(folder)
    train = release.read(split="train", columns=["question_id"])["question_id"].to_pylist()
    assert sorted(row.sample_id for row in rows) == sorted(train)
    assert (manifest.questions, manifest.prompts, manifest.dropped) == (18, 18, {})
    assert (
        manifest.files["rows.parquet"]
        == hashlib.sha256((folder / "rows.parquet").read_bytes()).hexdigest()
    )
    assert set(manifest.files) | {"manifest.json"} == {p.name for p in folder.iterdir()}


def test_boxes_are_in_the_pixels_that_the_model_sees(verl, release):
    """Named in prompt, truth and row; scaled from the published ones; the answer scores 2."""
    published = {
        row["question_id"]: json.loads(row["truth_json"])
        for row in release.read(columns=["question_id", "truth_json"]).to_pylist()
    }
    for row in rows_of(verl[0]):
        truth = json.loads(row.truth_json)
        assert row.box_space == truth["box_space"] == "resized_px"
        size = (truth["width"], truth["height"])
        assert size == (row.model_width, row.model_height)
        assert not any(side % 28 for side in size)
        assert f"whole pixels of a frame of {size[0]} x {size[1]}" in row.system_prompt
        assert score(row.task, row.answer, row.truth_json).total == 2
        scale = np.array([*size, *size])
        for ours, theirs in zip(truth["objects"], published[row.sample_id]["objects"], strict=True):
            for a, b in zip(ours["tubes"], theirs["tubes"], strict=True):
                for seen, told in zip(a["boxes"], b["boxes"], strict=True):
                    assert seen[0] == told[0]
                    if told[1] is not None:
                        off = np.abs(np.array(seen[1:]) - np.array(told[1:]) * scale)
                        assert off.max() <= 0.5 + 1e-9


def test_verl_rows(verl):
    """Prompt contents are strings, every video has all keys, the counts are exact."""
    folder, _ = verl
    table = pq.read_table(folder / "train.parquet")
    rows = rows_of(folder)
    for made, row in zip(table.to_pylist(), rows, strict=True):
        assert made["data_source"] == f"earshot/{row.task}"
        assert made["reward_model"] == {"style": "rule", "ground_truth": row.truth_json}
        system, user = made["prompt"]
        assert (system["role"], user["role"]) == ("system", "user")
        assert user["content"] == f"<video>\n{row.question}"
        assert "<video>" not in system["content"]
        (video,) = made["videos"]
        assert Path(video.pop("video")).is_file()
        assert video == {
            "fps": 2.0, "min_frames": 40, "max_frames": 40,
            "min_pixels": 16 * 784, "max_pixels": 256 * 784,
        }  # fmt: skip
        assert made["extra_info"]["frame_indices"] == list(row.frame_indices)
        assert made["extra_info"]["native_fps"] == row.native_fps == 5
    assert [made["extra_info"]["index"] for made in table.to_pylist()] == list(range(18))
    assert table["images"].to_pylist() == table["audios"].to_pylist() == [[]] * 18


def test_batches_have_exact_quotas_in_the_order_of_the_files(verl):
    """The files' rows are the plan's, rank after rank; each batch has two of a task."""
    folder, manifest = verl
    plan = pq.read_table(folder / "plan.parquet")
    rows = rows_of(folder)
    assert plan["sample_id"].to_pylist() == [row.sample_id for row in rows]
    assert plan["vision_tokens"].to_pylist() == [row.vision_tokens for row in rows]
    assert plan_digest(plan) == manifest.plan_digest
    places = list(zip(*(plan[n].to_pylist() for n in ("batch", "rank", "slot")), strict=True))
    assert places == [(b, r, s) for b in range(3) for r in range(2) for s in range(3)]
    for first in range(0, 18, 6):
        tasks = Counter(row.task for row in rows[first : first + 6])
        assert tasks == manifest.quotas == dict.fromkeys(tasks, 2)


def test_same_seed_same_bytes(verl, release, films, tmp_path):
    """Another seed is another order; a folder that is there is not overwritten."""
    again = export(release, films, tmp_path / "a", config(ranks=2))
    assert again.files == verl[1].files
    other = export(release, films, tmp_path / "b", config(ranks=2, seed=1))
    assert other.plan_digest != again.plan_digest
    with pytest.raises(InputError, match="is there already"):
        export(release, films, tmp_path / "a", config())


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_nothing(verl, release, films, tmp_path, monkeypatch, threads):
    """Chunks of two questions and buckets of five rows, made at once or in turn: the same files."""
    monkeypatch.setattr("earshot.tasks.grpo.ahead.THREADS", threads)
    monkeypatch.setattr("earshot.tasks.grpo.rows.CHUNK_ROWS", 2)
    monkeypatch.setattr("earshot.tasks.grpo.spool.BUCKET_ROWS", 5)
    export(release, films, tmp_path / "out", config(ranks=2))
    for name in ("rows", "train", "plan", "dropped"):
        ours, whole = (
            pq.read_table(out / f"{name}.parquet") for out in (tmp_path / "out", verl[0])
        )
        assert ours.equals(whole)


def test_sound_that_fails_drops_its_video_from_all_chunks(release, films, tmp_path, monkeypatch):
    """Chunks of one question: those that were made ahead of the fault are dropped for it too."""
    monkeypatch.setattr("earshot.tasks.grpo.rows.CHUNK_ROWS", 1)
    write = Footage.write_sound

    def fails(footage: Footage, clip: Clip, out: Path) -> None:
        if clip.uri.endswith("v000.mp4"):
            raise ItemError("decode_error", "broken off")
        write(footage, clip, out)

    monkeypatch.setattr(Footage, "write_sound", fails)
    asked = config("ms-swift", "qwen2_5_omni", batch_prompts=3)
    manifest = export(release, films, tmp_path / "out", asked)
    assert manifest.dropped == {"decode_error": 3}
    assert {row.video_id for row in dropped_of(tmp_path / "out")} == {"v000"}


def test_thousandths_for_qwen3(release, films, tmp_path):
    """Its boxes are relative, exact in what the release has, and its frames multiples of 32."""
    export(release, films, tmp_path / "o", config(profile="qwen3_vl"))
    for row in rows_of(tmp_path / "o"):
        truth = json.loads(row.truth_json)
        assert truth["box_space"] == row.box_space == "rel1000"
        assert "width" not in truth
        assert row.model_width % 32 == row.model_height % 32 == 0
        assert "thousandths" in row.system_prompt
        boxes = [b[1:] for o in truth["objects"] for t in o["tubes"] for b in t["boxes"] if b[1]]
        ours = [[b.x1, b.y1, b.x2, b.y2] for o in row.gt_objects for b in o.boxes]
        assert [[round(1000 * edge) for edge in box] for box in ours] == boxes


def test_trl_is_given_the_right_frames_as_images(release, films, tmp_path):
    """`datasets` reads pictures of the model's size; grey tells that they are the named frames."""
    import datasets

    export(release, films, tmp_path / "o", config("trl"))
    found = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "o" / "train.parquet"), split="train",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    assert found.num_rows == 18
    rows = {row.sample_id: row for row in rows_of(tmp_path / "o")}
    for made in found.select(range(4)):
        row = rows[made["sample_id"]]
        seed = int(row.video_id[1:])
        assert len(made["images"]) == len(row.frame_indices) == 40
        for picture, index in zip(made["images"], row.frame_indices, strict=True):
            assert picture.size == (row.model_width, row.model_height)
            assert abs(np.asarray(picture).mean() - grey(index) - seed) < 8
        assert [part["role"] for part in made["prompt"]] == ["system", "user"]
        assert made["prompt"][1]["content"] == row.question
        times = ", ".join(f"{index / 5:.1f}" for index in row.frame_indices)
        assert f"at {times} seconds" in made["prompt"][0]["content"]
        assert json.loads(made["truth_json"])["width"] == row.model_width
    raw = pq.read_table(tmp_path / "o" / "train.parquet")["images"][0].as_py()[0]["bytes"]
    assert Image.open(io.BytesIO(raw)).format == "JPEG"


def test_ms_swift_with_sound(release, films, tmp_path):
    """JSON Lines with video and WAV of full length, and the budget as environment variables."""
    out = tmp_path / "o"
    export(release, films, out, config("ms-swift", "qwen2_5_omni"))
    made = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert len(made) == 18
    for one in made:
        assert [part["role"] for part in one["messages"]] == ["system", "user"]
        assert one["messages"][1]["content"].startswith("<video><audio>\n")
        assert Path(one["videos"][0]).is_file()
        with wave.open(one["audios"][0]) as file:
            assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
            assert file.getnframes() / 16_000 == pytest.approx(20, abs=0.1)
            assert np.frombuffer(file.readframes(-1), "<i2").std() > 1000
        assert {"task", "truth_json", "native_fps", "frame_indices"} <= set(one)
    assert "export VIDEO_MAX_PIXELS=200704\n" in (out / "media.env").read_text()


def test_a_film_without_sound_is_told_as_such(release, films, tmp_path):
    """Hearing models get no audio tag where there is no track."""
    root = Path(shutil.copytree(films, tmp_path / "films"))
    frames = (np.full((180, 320, 3), grey(i), np.uint8) for i in range(100))
    write_mp4(root / "v000.mp4", frames, FPS, (320, 180), None)
    export(release, root, tmp_path / "o", config("ms-swift", "qwen2_5_omni"))
    for line in (tmp_path / "o" / "train.jsonl").read_text().splitlines():
        made = json.loads(line)
        is_mute = made["video_id"] == "v000"
        assert len(made["audios"]) == (not is_mute)
        assert ("<audio>" in made["messages"][1]["content"]) is not is_mute


@pytest.mark.parametrize("dialect", ["verl", "trl"])
def test_most_trainers_hear_nothing(dialect):
    """A model that hears is refused before anything is decoded, where its sound would be lost."""
    with pytest.raises(ValidationError, match="expected dialect ms-swift, which hears"):
        config(dialect, "qwen2_5_omni")


def test_what_is_missing_or_broken_is_dropped_with_a_reason(release, films, tmp_path):
    """Gone, another length, no video, cut in the middle: four reasons, the rest is written."""
    root = Path(shutil.copytree(films, tmp_path / "films"))
    (root / "v000.mp4").unlink()
    paint(root / "v001.mp4", 1, (160, 120), 12)
    (root / "v004.mp4").write_bytes(b"no video at all")
    whole = (root / "v005.mp4").read_bytes()
    (root / "v005.mp4").write_bytes(whole[: len(whole) // 2])
    manifest = export(release, root, tmp_path / "o", config())
    dropped = dropped_of(tmp_path / "o")
    by_video = {row.video_id: row.reason_code for row in dropped}
    assert by_video["v000"] == "not_found"
    assert by_video["v001"] == "checksum"
    assert by_video["v004"] == "unreadable"
    assert by_video["v005"] in ("truncated", "unreadable")
    assert all(row.status == "quarantined" for row in dropped)
    assert manifest.prompts == 6
    with pytest.raises(InputError, match=r"v000.*not_found"):
        export(release, root, tmp_path / "stopped", config(on_fault="stop"))
    assert not [path for path in tmp_path.iterdir() if "stopped" in path.name]


def test_a_damaged_truth_is_named(release, films, tmp_path):
    """Nothing is written, and the error has the question, what is wrong there, and the remedy."""
    copied = Path(shutil.copytree(release.folder, tmp_path / "r"))
    path = min((copied / "data" / "train").iterdir())
    table = pq.read_table(path)
    truths = table["truth_json"].to_pylist()
    truths[3] = truths[3].replace('"intervals":[', '"intervals":["early",')
    at = table.column_names.index("truth_json")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(truths)), path)
    name = table["question_id"][3].as_py()
    with pytest.raises(InputError, match=rf"{name}: its truth can't be read(?s:.*)release verify"):
        export(Release(copied), films, tmp_path / "out", config(check_media=False))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_evaluation_is_refused(release, films, tmp_path):
    """The test split can't be asked for; validation may."""
    with pytest.raises(ValidationError):
        config(split="test")
    manifest = export(release, films, tmp_path / "o", config(split="validation"))
    assert manifest.prompts == 6
    assert manifest.dropped == {"no_full_batch": 3}
    assert {row.split for row in rows_of(tmp_path / "o")} == {"validation"}


def test_long_answers_are_asked_on_a_coarser_grid_or_dropped(release, films, tmp_path):
    """The grid's step stands in truth, row and prompt; counted in the manifest."""
    tight = {"completion_tokens": 96, "check_media": False}
    manifest = export(release, films, tmp_path / "a", config(**tight))
    assert set(manifest.grid_steps) - {"1"}
    for row in rows_of(tmp_path / "a"):
        truth = json.loads(row.truth_json)
        assert truth["grid"]["step_s"] == row.grid_step_s
        assert row.answer_tokens <= 96
        if row.grid_step_s > 1:
            assert f"one line every {row.grid_step_s:g} seconds" in row.system_prompt
            assert np.allclose(np.diff(truth["grid"]["times_s"]), row.grid_step_s)
    manifest = export(release, films, tmp_path / "b", config(**tight, over_budget="drop"))
    assert manifest.dropped["over_budget"] > 0
    assert set(manifest.grid_steps) == {"1"}


def test_moments_that_are_not_shown_are_not_asked(release, films, tmp_path):
    """With 6 frames in 20 s a box a second could only be guessed."""
    sparse = {"max_frames": 6, "check_media": False, "max_step_s": 1}
    with pytest.raises(InputError, match="no batch"):
        export(release, films, tmp_path / "a", config(**sparse, quotas={"spatial": 6}))
    manifest = export(release, films, tmp_path / "b", config(**sparse, quotas={"temporal": 6}))
    assert manifest.dropped["sparse_frames"] > 6


@pytest.mark.parametrize("dialect", ["verl", "ms-swift", "trl"])
def test_supervised_rows_have_the_answer(release, films, tmp_path, dialect):
    """The last message is the rendered truth, and no reward file is written."""
    out = tmp_path / "o"
    manifest = export(release, films, out, config(dialect, objective="sft", check_media=False))
    assert not [name for name in manifest.files if name.endswith(".py")]
    if dialect == "ms-swift":
        made = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    else:
        made = pq.read_table(out / "train.parquet").to_pylist()
    for one, row in zip(made, rows_of(out), strict=True):
        said = one["completion"] if dialect == "trl" else one["messages"]
        assert said[-1] == {"role": "assistant", "content": row.answer}


def test_epochs_are_rows(release, films, tmp_path):
    """Two epochs are two orders in one file; a prompt that stands in either is not dropped."""
    manifest = export(
        release, films, tmp_path / "o", config(epochs=2, batch_prompts=12, check_media=False)
    )
    plan = pq.read_table(tmp_path / "o" / "plan.parquet")
    assert manifest.rows == 24
    assert Counter(plan["epoch"].to_pylist()) == {0: 12, 1: 12}
    assert manifest.left_out == (6, 6)
    assert manifest.prompts + manifest.dropped.get("no_full_batch", 0) == 18


def test_a_picture_that_readers_show_otherwise_is_dropped(release, films, tmp_path):
    """Oblong pixels: a trainer's reader ignores them, so that boxes would be off; frames go."""
    root = Path(shutil.copytree(films, tmp_path / "films"))
    with av.open(str(root / "v000.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 180, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for index in range(100):
            picture = np.full((180, 160, 3), grey(index), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    manifest = export(release, root, tmp_path / "a", config(batch_prompts=3))
    assert manifest.dropped == {"turned_picture": 3}
    assert export(release, root, tmp_path / "b", config("trl", batch_prompts=3)).dropped == {}
    assert {row.model_width for row in rows_of(tmp_path / "b") if row.video_id == "v000"} == {308}


def test_a_turned_film_is_upright_or_dropped(release, films, tmp_path):
    """Stored upright and shown lying: readers may show it as stored; as images it is as shown."""
    root = Path(shutil.copytree(films, tmp_path / "films"))
    halves = np.zeros((160, 120, 3), np.uint8)
    halves[:, 60:] = 250
    write_film(root / "v001.mp4", [halves] * 100, FPS, (120, 160), 20)
    turn(root / "v001.mp4")
    for dialect in ("verl", "ms-swift"):
        manifest = export(release, root, tmp_path / dialect, config(dialect, batch_prompts=3))
        assert manifest.dropped == {"turned_picture": 3}
    manifest = export(release, root, tmp_path / "trl", config("trl", batch_prompts=3))
    assert manifest.dropped == {}
    for made in pq.read_table(tmp_path / "trl" / "train.parquet").to_pylist():
        if made["video_id"] == "v001":
            picture = np.asarray(Image.open(io.BytesIO(made["images"][0]["bytes"])).convert("L"))
            assert picture.shape == (made["model_height"], made["model_width"]) == (112, 168)
            top, low = picture[:50].mean(), picture[-50:].mean()
            assert abs(top - low) > 200
            assert abs(picture[:, :80].mean() - picture[:, -80:].mean()) < 10


def released(films: Path, out: Path, **changes: object) -> Release:
    """A release about the films as they are, its videos changed."""
    rows = make_rows(12)
    about = [row.model_copy(update=changes) for row in about_films(rows[Video], films)]
    source = make_source({**rows, Video: about})
    return Release(publish(source, out, CONFIG, now=NOW).folder)


def test_unopened_films_are_as_turned_as_their_release_says(films, tmp_path):
    """What is believed is believed whole: stored turned, readers may show it as stored."""
    release = released(films, tmp_path / "r", rotation_deg=90)
    with pytest.raises(InputError, match="18 left out, turned_picture"):
        export(release, films, tmp_path / "a", config(check_media=False))
    told = export(release, films, tmp_path / "b", config("trl", check_media=False))
    assert told.dropped == {}


def test_frames_at_other_times_than_their_numbers_say_are_dropped(films, tmp_path):
    """Readers go by number and rate: half of a film at half the rate is told at wrong times."""
    root = Path(shutil.copytree(films, tmp_path / "films"))
    with av.open(str(root / "v000.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for index in [*range(0, 50, 2), *range(50, 100)]:
            picture = np.full((180, 320, 3), grey(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 200 * index, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    release = released(root, tmp_path / "r")
    for dialect in ("verl", "ms-swift"):
        manifest = export(release, root, tmp_path / dialect, config(dialect, batch_prompts=3))
        assert manifest.dropped == {"uneven_frames": 3}
    assert export(release, root, tmp_path / "trl", config("trl", batch_prompts=3)).dropped == {}


@pytest.mark.parametrize("dialect", ["verl", "ms-swift", "trl"])
def test_choices_and_questions_without_an_answer(films, tmp_path, dialect):
    """Options stand in the row, the wording to the letter; `none` is an answer that scores 2."""
    rows = make_rows(4)
    rows[Video] = about_films(rows[Video], films)
    spatial = [at for at, q in enumerate(rows[Question]) if q.task == "spatial"]
    asked = 'Which of these "sounds": dog,\t\\cat, 木\u2028 tree \x01🐕?'
    rows = change(rows, Question, spatial[0], question=asked, options=("dog", "cat", "tree"))
    truth = Truth.model_validate_json(rows[Question][spatial[1]].truth_json)
    nothing = truth.model_copy(update={"objects": ()})
    none = "<answer>\n<object>none</object>\n</answer>"
    empty = {"truth_json": nothing.canonical(), "answer": none, "object_ids": (), "tube_ids": ()}
    rows = change(rows, Question, spatial[1], **empty)
    # The tables still have the dog: the gate that derives answers anew has seen it.
    limits = CONFIG.model_copy(update={"limits": {"rederived": 1}})
    made = publish(make_source(rows), tmp_path / "r", limits, now=NOW).folder
    export(Release(made), films, tmp_path / "o", config(dialect))
    found = {row.sample_id: row for row in rows_of(tmp_path / "o")}
    choice, negative = (found[rows[Question][at].question_id] for at in spatial[:2])
    assert choice.options == ("dog", "cat", "tree")
    assert negative.options == ()
    assert negative.answer == none
    assert negative.gt_objects == ()
    for row in (choice, negative):
        assert score("spatial", row.answer, row.truth_json).total == 2
    assert score("spatial", choice.answer, negative.truth_json).object == 0
    (path,) = (tmp_path / "o").glob("train.*")
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    else:
        lines = pq.read_table(path).to_pylist()
    said = [(line.get("prompt") or line["messages"])[-1]["content"] for line in lines]
    assert sum(text.endswith(asked) for text in said) == 1


@pytest.mark.parametrize("file", ["media.parquet", "splits.parquet", "data/train"])
def test_a_release_without_one_of_its_files_is_told(release, films, tmp_path, file):
    """Gone or cut off: which file it is, and what says what else is damaged."""
    for name, data in (("gone", None), ("cut", b"PAR1")):
        copy = Path(shutil.copytree(release.place, tmp_path / name))
        path = copy / file
        path = path if path.is_file() else next(path.iterdir())
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ReleaseError, match=rf"{path.name} can't be read .* release verify"):
            export(Release(copy), films, tmp_path / "a", config(check_media=False))


def test_what_a_killed_export_left_goes_with_the_next(release, films, tmp_path):
    """SIGKILL leaves hidden folders; the next export to that place removes them, and no other."""
    call = [
        "export", "--release", str(release.place), "--dialect", "trl", "--model-profile",
        "qwen2_5_vl", "--media-root", str(films), "--out", str(tmp_path / "a"),
    ]  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "earshot.cli", "grpo", *call]) as running:
        while len(list(tmp_path.glob(".*-a-*"))) < 2:
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
    others = {tmp_path / ".tmp-a-backup", tmp_path / ".tmp-a-b-00000000-1-00000000"}
    for other in others:
        other.mkdir()
    export(release, films, tmp_path / "a", config(check_media=False))
    assert set(tmp_path.iterdir()) == {tmp_path / "a", *others}


def test_a_link_to_nowhere_is_there_already(release, films, tmp_path):
    """Told before the work, which could not be put there."""
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is there already"):
        export(release, films, tmp_path / "a", config())
