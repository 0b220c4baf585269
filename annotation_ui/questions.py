"""A sample of the questions, with their answers, beside the clip: is each clear, right and alone?

Takes question rows, gives Label Studio tasks and reads the verdicts back. What people reject is not
published; a question that changes is another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.keys import keys_of
from earshot.annotation_ui.labeling import EVENT, VERDICTS
from earshot.annotation_ui.read import AnnotationError, annotator_of, raw_of, sort_results
from earshot.annotation_ui.show import COLOURS, MODEL_VERSION, address_of
from earshot.geometry.tubes import ABSENT, VISIBLE
from earshot.schemas.ids import h8
from earshot.schemas.inspection import QuestionInspection
from earshot.schemas.question import Question
from earshot.schemas.video import Video

Json = Mapping[str, Any]


def question_uid(question: Question) -> str:
    """Return what a task about a question is known by: another wording or truth, another task."""
    return f"{question.question_id}+{question.digest}"


def question_task(question: Question, video: Video, clip: str, clock: Clock) -> dict[str, Any]:
    """Return the task to import: question, answer, and the answer's boxes and times in the clip."""
    truth = json.loads(question.truth_json)
    named = list(dict.fromkeys(each["name"] for each in truth["objects"])) or ["nothing"]
    size = {"norm": (1.0, 1.0), "rel1000": (1000.0, 1000.0)}.get(
        question.box_space, (truth.get("width") or video.width, truth.get("height") or video.height)
    )
    results: list[dict[str, Any]] = [
        {
            "id": f"box-{number}",
            "from_name": "box",
            "to_name": "video",
            "type": "videorectangle",
            "value": {
                "framesCount": clock.n_frames,
                "duration": clock.duration_s,
                "labels": [name],
                "sequence": keys,
            },
        }
        for number, (name, keys) in enumerate(_tubes(truth, size, clock))
        if keys
    ]
    results += [
        {
            "id": f"span-{number}",
            "from_name": "span",
            "to_name": "audio",
            "type": "labels",
            "original_length": clock.duration_s,
            "value": {
                "start": clock.clip_s(start_s),
                "end": clock.clip_s(end_s),
                "channel": 0,
                "labels": [EVENT],
            },
        }
        for number, (start_s, end_s) in enumerate(truth["intervals"])
    ]
    address = address_of(clip)
    data = {
        "uid": question_uid(question),
        "question_id": question.question_id,
        "video": address,
        "audio": address,
        "fps": clock.fps,
        "objects": [
            {"value": name, "background": COLOURS[number % len(COLOURS)]}
            for number, name in enumerate(named)
        ],
        "question": question.question,
        "answer": _in_words(truth),
        "provenance": f"{question.question_id}, {question.task}, {question.pack}",
    }
    # The risky ones are those that no person has looked at.
    score = 0.0 if question.inspected_by == "automatic" else 1.0
    prediction = {"model_version": MODEL_VERSION, "score": score, "result": results}
    return {"data": data, "predictions": [prediction]}


def _in_words(truth: Json) -> str:
    """Return a truth for people: names and times; its boxes are drawn."""
    if not truth["objects"]:
        return "none: nothing that is seen"
    lines = []
    for each in truth["objects"]:
        drawn = sum(any(row[1] is not None for row in tube["boxes"]) for tube in each["tubes"])
        lines.append(each["name"] + (f" ({drawn} drawn)" if drawn else ""))
    times = ", ".join(f"{start_s:.1f} to {end_s:.1f} s" for start_s, end_s in truth["intervals"])
    return "; ".join([", ".join(lines), *([times] if times else [])])


def _tubes(
    truth: Json, size: tuple[float, float], clock: Clock
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return (name, key frames) of each tube of a truth."""
    found = []
    for each in truth["objects"]:
        for tube in each["tubes"]:
            times_s = np.array([row[0] for row in tube["boxes"]], dtype=np.float64)
            seen = np.array([row[1] is not None for row in tube["boxes"]])
            boxes = np.array([row[1:] if ok else [0] * 4
                              for row, ok in zip(tube["boxes"], seen, strict=True)])  # fmt: skip
            shares = boxes.astype(np.float64) / [*size, *size]
            keys = keys_of(times_s, shares, np.where(seen, VISIBLE, ABSENT), clock)
            found.append((each["name"], [key.to_json(clock.fps) for key in keys]))
    return found


def verdict_id(project: int, task: Json, annotation: Json) -> str:
    """Return the id of a verdict; one that is updated is another."""
    version = f"{annotation['id']}@{annotation['updated_at']}"
    return f"{task['data']['question_id']}/i-{h8([str(project), str(task['id']), version])}"


def read_verdict(project: int, task: Json, annotation: Json) -> QuestionInspection:
    """Return what an annotation says of a question.

    Raises:
        AnnotationError: if it has no verdict.
    """
    left = sort_results(annotation.get("result") or ())
    if len(left.verdict) != 1 or left.verdict[0] not in VERDICTS:
        raise AnnotationError(
            f"verdict {left.verdict}: expected one of {', '.join(VERDICTS)}; open the task, choose "
            "one, update"
        )
    verdict = left.verdict[0]
    return QuestionInspection(
        question_inspection_id=verdict_id(project, task, annotation),
        question_id=task["data"]["question_id"],
        question_digest=task["data"]["uid"].partition("+")[2],
        verdict=verdict,
        reasons=(
            *(left.reasons if verdict == "reject" else ()),
            *(f"comment: {text}" for text in left.comments),
        ),
        annotator=annotator_of(annotation),
        at=datetime.fromisoformat(annotation["updated_at"]),
        seconds=max(float(annotation.get("lead_time") or 0.0), 0.0),
        raw=raw_of(annotation),
    )
