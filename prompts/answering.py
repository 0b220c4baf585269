"""What a model is told before it answers a question: `answer.md` and `train.md`, filled in.

Takes a task and a box space, gives text. The frame's size is left open as `$width` and `$height`
where boxes are pixels, so that one text serves all videos.
"""

from __future__ import annotations

from string import Template

from earshot.prompts.texts import read_prompt

_WHERE = "<where>\ntime: [left, top, right, bottom]\ntime: [left, top, right, bottom]\n</where>"
_FORMS = {
    "temporal": "<answer>\n<object>name</object>\n<when>[start, end]</when>\n</answer>",
    "spatial": (
        f"<answer>\n<object>name</object>\n{_WHERE}\n</answer>\n\n"
        "with one <object> and its <where> for each object. If there is none:\n\n"
        "<answer>\n<object>none</object>\n</answer>"
    ),
    "spatio_temporal": (
        f"<answer>\n<object>name</object>\n<when>[start, end]</when>\n{_WHERE}\n</answer>"
    ),
}
_PIXELS = "whole pixels of a frame of $width x $height: [31, 72, 117, 235]"
_SPACES = {
    "norm": "parts of the frame, from 0 to 1 with three decimals: [0.120, 0.300, 0.455, 0.980]",
    "rel1000": "whole thousandths of the frame, from 0 to 1000: [120, 300, 455, 980]",
    "native_px": _PIXELS,
    "resized_px": _PIXELS,
}


def answer_prompt_version() -> str:
    """Return the version of `prompts/answer.md`."""
    return read_prompt("answer").version


def answer_prompt(task: str, box_space: str) -> str:
    """Return the system prompt for a task and a box space (CONTRACTS 6)."""
    text = Template(read_prompt("answer").text)
    return text.substitute(form=_FORMS[task], space=_SPACES[box_space])


def train_prompt_version() -> str:
    """Return the version of `prompts/train.md`."""
    return read_prompt("train").version


def train_prompt(
    task: str, box_space: str, size_px: tuple[int, int], step_s: float, seen: str
) -> str:
    """Return the system prompt of a training row.

    Args:
        task: CONTRACTS 5.
        box_space: of the boxes that the model writes.
        size_px: width and height of a frame as the model sees it.
        step_s: seconds between the times at which boxes are asked.
        seen: a sentence on what the model is given of the video.
    """
    width, height = size_px
    space = Template(_SPACES[box_space]).substitute(width=width, height=height)
    step = "second" if step_s == 1 else f"{step_s:g} seconds"
    text = Template(read_prompt("train").text)
    return text.substitute(form=_FORMS[task], space=space, step=step, seen=seen)
