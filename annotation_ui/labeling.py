"""The labeling config, the names in it that the adapter relies on, and a linter of one against the
other.

The server checks next to nothing of a config (a wrong attribute gives an empty page, an unknown
name a nameless region): what `lint` finds would be found by the annotators otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from xml.etree import ElementTree

from earshot.schemas.inspection import Verdict

EVENT = "event"
VERDICTS: tuple[Verdict, ...] = ("ok", "reject", "unsure")
REASONS = (
    "no such sound",
    "source not visible",
    "sounding object not in the list",
    "caption wrong",
    "bad media",
)
BOX_REASONS = ("another thing", "jumps to another thing", "off target", "not there")


@dataclass(frozen=True)
class Control:
    """A tag that results come from: its kind, what it is about, and its values (None: of data)."""

    tag: str
    to_name: str
    values: tuple[str, ...] | None = ()


CONTROLS: dict[str, Control] = {
    "object": Control("Labels", "video", None),
    "box": Control("VideoRectangle", "video"),
    "span": Control("Labels", "audio", (EVENT,)),
    "verdict": Control("Choices", "video", VERDICTS),
    "reason": Control("Choices", "video", REASONS),
    "box_reason": Control("Choices", "video", BOX_REASONS),
    "comment": Control("TextArea", "video"),
}
QUESTION_REASONS = (
    "question unclear",
    "answer wrong",
    "more than one right answer",
    "box wrong",
    "time wrong",
)
QUESTION_CONTROLS: dict[str, Control] = {
    **{name: CONTROLS[name] for name in ("object", "box", "span", "verdict", "comment")},
    "reason": Control("Choices", "video", QUESTION_REASONS),
}
_MEDIA = ("video", "audio", "fps")
_WORDS = ("question", "caption", "expected", "provenance")
FIELDS = frozenset(("uid", "event_id", "objects", "shown", *_MEDIA, *_WORDS))
"""What a task's `data` holds; the config may name no other variable."""
QUESTION_FIELDS = frozenset(
    ("uid", "question_id", "objects", *_MEDIA, "question", "answer", "provenance")
)
"""The same of a task about a question."""

# `timelinelabels` beside boxes give phantom results (label-studio #9744), HyperText runs markup.
_FORBIDDEN_TAGS = frozenset({"TimelineLabels", "HyperText"})
# Accepted by the server, and then the page stays empty.
_FORBIDDEN = frozenset({("Audio", "zoom"), ("Audio", "hotkey"), ("Audio", "frameRate")})
_NEEDED = {
    "Video": {"value": "$video", "frameRate": "$fps", "sync": "audio"},
    "Audio": {"value": "$audio", "sync": "video"},
}
OBJECT_KEYS = "1234567890qwedfghyiplm"
"""Of the objects, in this order; left to itself the page gives letters that are others'."""
# `u` unselects; the words play, step and delete.
_TAKEN = frozenset(f"u{OBJECT_KEYS}") | {"space", "backspace", "escape"}


def labeling_config() -> str:
    """Return the labeling config of events as XML."""
    return files("earshot.annotation_ui").joinpath("labeling.xml").read_text("utf-8")


def question_config() -> str:
    """Return the labeling config of questions as XML."""
    return files("earshot.annotation_ui").joinpath("labeling_question.xml").read_text("utf-8")


def lint(
    config: str,
    controls: Mapping[str, Control] = CONTROLS,
    fields: frozenset[str] = FIELDS,
) -> list[str]:
    """Return what in a labeling config does not fit the adapter; empty where all fits.

    Args:
        config: XML.
        controls: the tags that the adapter reads.
        fields: what a task's data holds.
    """
    try:
        root = ElementTree.fromstring(config)  # noqa: S314 - our own file, or a person's own
    except ElementTree.ParseError as error:
        return [f"the config is no XML: {error}"]
    tags = list(root.iter())
    named = {tag.get("name"): tag for tag in tags if tag.get("name")}
    found = [*_controls(named, controls), *_tags(tags, fields), *_hotkeys(tags)]
    return [*found, *_names(tags)]


def _controls(
    named: dict[str | None, ElementTree.Element], controls: Mapping[str, Control]
) -> Iterator[str]:
    for name, control in controls.items():
        tag = named.get(name)
        if tag is None:
            yield f"no tag is named {name!r}: expected <{control.tag} name={name!r}>"
            continue
        if (tag.tag, tag.get("toName")) != (control.tag, control.to_name):
            yield (
                f"{name!r} is <{tag.tag} toName={tag.get('toName')!r}>, expected "
                f"<{control.tag} toName={control.to_name!r}>"
            )
        if control.values is None:
            if tag.get("value") != "$objects":
                yield f"{name!r} has value {tag.get('value')!r}, expected '$objects'"
        elif (values := tuple(each.get("value") or "" for each in tag)) != control.values:
            yield f"{name!r} offers {list(values)}, expected {list(control.values)}"


def _tags(tags: list[ElementTree.Element], fields: frozenset[str]) -> Iterator[str]:
    for tag in tags:
        if tag.tag in _FORBIDDEN_TAGS:
            yield f"<{tag.tag}> is forbidden here: see annotation_ui/labeling.py"
        for attribute, value in tag.attrib.items():
            if (tag.tag, attribute) in _FORBIDDEN:
                yield f"<{tag.tag} {attribute}=...> leaves the page empty: take it out"
            if value.startswith("$") and value[1:] not in fields:
                yield f"<{tag.tag} {attribute}={value!r}>: tasks have no field {value[1:]!r}"
    for kind, needed in _NEEDED.items():
        of_kind = [tag for tag in tags if tag.tag == kind]
        if len(of_kind) != 1:
            yield f"{len(of_kind)} <{kind}> tags, expected one"
        for tag in of_kind:
            for attribute, value in needed.items():
                if tag.get(attribute) != value:
                    yield f"<{kind} {attribute}={tag.get(attribute)!r}>: expected {value!r}"


def _hotkeys(tags: list[ElementTree.Element]) -> Iterator[str]:
    keys = Counter(key for tag in tags if (key := tag.get("hotkey")))
    for key, times in keys.items():
        if times > 1 or key in _TAKEN:
            yield f"hotkey {key!r} is taken: choose another"
    for tag in tags:
        if tag.tag == "Choice" and not tag.get("hotkey"):
            yield f"<Choice value={tag.get('value')!r}> has no hotkey: it would take one by itself"


def _names(tags: list[ElementTree.Element]) -> Iterator[str]:
    names = Counter(name for tag in tags if (name := tag.get("name")))
    yield from (f"{times} tags are named {name!r}" for name, times in names.items() if times > 1)
