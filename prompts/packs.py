"""Reads question template packs: YAML data of `prompts/questions/`, checked before anyone uses it.

A broken pack is refused with file, line and reason. Holds no wording of its own and fills nothing
but the placeholders of a template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from earshot.errors import ConfigError

Task = Literal["temporal", "spatial", "spatio_temporal"]
Branch = Literal["sounding", "silent"]
Which = Literal["left", "right"]
AnswerStyle = Literal["earshot", "r-avst"]
Times = Literal["segment", "every_stretch"]
Seconds = Literal["tenths", "as_given"]

_FOLDER = "earshot.prompts.questions"
_PLACEHOLDERS: dict[Task, frozenset[str]] = {
    "temporal": frozenset({"object"}),
    "spatial": frozenset({"start", "end"}),
    "spatio_temporal": frozenset({"object"}),
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _fits_its_task(question: str, info: ValidationInfo) -> str:
    """Return a wording that has the placeholders of its template's task, or raise ValueError."""
    used, task = set(_fields(question)), info.data.get("task")
    if task is None:
        return question
    needed = set(_PLACEHOLDERS[task])
    if info.data.get("about") == "object":
        needed.add("object")
    if info.data.get("options"):
        needed.add("options")
    if used != needed:
        raise ValueError(
            f"the wording {question!r} has the placeholders {sorted(used)}; a {task} question "
            f"needs {sorted(needed)}, each at least once and no others"
        )
    return question


def _differ(questions: tuple[str, ...]) -> tuple[str, ...]:
    twice = [each for each in questions if questions.count(each) > 1]
    if twice:
        raise ValueError(f"the wording {twice[0]!r} stands here twice; remove one")
    return questions


Question = Annotated[str, Field(min_length=1), AfterValidator(_fits_its_task)]


class Template(_Model):
    """The wordings of one task, or of one branch of a spatial task: paraphrases of one question."""

    id: str = Field(pattern=r"^[a-z0-9_.-]{1,64}$", description="part of the question's id")
    task: Task
    branch: Branch | None = Field(None, description="of a spatial task, and only of it")
    which: Which | None = Field(
        None,
        description="of a spatio_temporal task: which one of two instances the wording asks for",
    )
    about: Literal["object"] | None = Field(
        None,
        description="of a spatial task, branch sounding: the wording names an object and asks "
        "whether it is heard and seen; none where it is silent, or out of view",
    )
    options: Annotated[int, Field(ge=3, le=8)] | None = Field(
        None,
        description="of a spatial task, branch sounding: how many names to choose from, at most",
    )
    question: Annotated[
        tuple[Question, ...],
        Field(min_length=1),
        BeforeValidator(_as_list),
        AfterValidator(_differ),
    ] = Field(description="one wording or several, with {object}, or with {start} and {end}")

    @model_validator(mode="after")
    def _has_a_branch_where_its_task_does(self) -> Self:
        if (self.branch is None) == (self.task == "spatial"):
            raise ValueError(
                f"template {self.id!r} has task {self.task!r} and branch {self.branch!r}; expected "
                f"one of {', '.join(get_args(Branch))} for spatial, and none for other tasks"
            )
        if self.which is not None and self.task != "spatio_temporal":
            raise ValueError(
                f"template {self.id!r} has which {self.which!r} and task {self.task!r}; only a "
                "spatio_temporal question asks where one instance is: remove which"
            )
        if (self.about or self.options) and self.branch != "sounding":
            raise ValueError(
                f"template {self.id!r} has about or options and branch {self.branch!r}; only a "
                "spatial question of branch sounding has them: remove them"
            )
        if self.about and self.options:
            raise ValueError(
                f"template {self.id!r} has about and options; a question that names its object "
                "leaves nothing to choose: remove one"
            )
        return self

    def fill(
        self, *, name: str = "", start: str = "", end: str = "", options: str = "", key: str = ""
    ) -> str:
        """Return the question's text; only the placeholders of the task are looked at.

        Args:
            name: the object that is asked about.
            start: of the stretch that is asked about, as written.
            end: likewise.
            options: the names to choose from.
            key: chooses among paraphrases, always the same one for the same key. A paraphrase that
                is added later takes its share of the keys and leaves the choice of all others.
        """
        question = max(self.question, key=lambda each: _weight(key, each))
        return question.format(object=name, start=start, end=end, options=options)


def _weight(key: str, question: str) -> bytes:
    """Weight of a wording for a key: the largest is chosen (rendezvous hashing)."""
    return hashlib.sha256(f"{key}\n{question}".encode()).digest()


class Pack(_Model):
    """A set of templates, how their answers are written, and which times they ask for.

    `times` says what "when" means (CONTRACTS 5): `segment` is the event's segment, one interval;
    `every_stretch` is each stretch where the object sounds and is visible.
    """

    name: str = Field(alias="pack", pattern=r"^[a-z0-9_.-]{1,64}$")
    version: str = Field(min_length=1)
    answers: AnswerStyle
    times: Times
    seconds: Seconds = Field(
        "tenths", description="how a question writes {start} and {end}: to 0.1 s, or as given"
    )
    templates: tuple[Template, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """sha256 of the content, for the stage's key; comments and layout don't count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        if self.answers == "r-avst" and self.times != "segment":
            raise _at(
                ("times",),
                f"answers 'r-avst' with times {self.times!r}; R-AVST's rendering has one interval, "
                "so use times: segment or answers: earshot",
            )
        ids = [template.id for template in self.templates]
        asked = [
            (each.task, each.branch, each.which, each.about, each.options is not None)
            for each in self.templates
        ]
        for what, values in (("id", ids), ("task, branch, which, about and options", asked)):
            for position, value in enumerate(values):
                if value in values[:position]:
                    raise _at(
                        ("templates", position),
                        f"two templates with the {what} {value!r}; expected one, since each video "
                        "is asked once: rename or remove one, or make them wordings of one",
                    )
        return self


def _at(place: tuple[int | str, ...], reason: str) -> PydanticCustomError:
    """Return the error of a whole pack that one place in it is to blame for."""
    return PydanticCustomError("pack", "{reason}", {"reason": reason, "place": place})


def load_pack(name: str) -> Pack:
    """Return a pack by its name in `prompts/questions/`, or by the path of a `.yaml` file.

    Raises:
        ConfigError: if there is no such pack, or it is broken: file, line and reason.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"questions.pack {name!r}: no such file; give a path that exists")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"questions.pack {name!r} can't be read ({error}); give a YAML file in UTF-8"
            ) from error
        return parse_pack(text, name)
    folder = resources.files(_FOLDER)
    known = sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml"))
    if name not in known:
        raise ConfigError(
            f"questions.pack {name!r}: expected one of {', '.join(known)}, or the path of a .yaml "
            "file"
        )
    pack = parse_pack((folder / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")
    if pack.name != name:
        raise ConfigError(f"{name}.yaml:1: pack is {pack.name!r}; expected the file's name")
    return pack


def parse_pack(text: str, file: str) -> Pack:
    """Return the pack that YAML text holds; `file` is only named in errors.

    Raises:
        ConfigError: `file:line: reason`, for text that is no YAML, and for a pack with unknown,
            missing or repeated parts, or with placeholders that its task doesn't have.
    """
    try:
        root = _compose(text, file)
        # BaseLoader: every scalar is text, so no date, number or `no` is guessed at.
        data = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line
        raise _broken(file, line, error.problem or "this is no YAML") from error
    except yaml.reader.ReaderError as error:
        raise _broken(file, 0, f"character {error.character!r}: {error.reason}") from error
    except RecursionError as error:
        raise _broken(file, 0, "too deeply nested; expected lists of templates") from error
    if not isinstance(data, dict):
        line = _line_at(root, ())
        raise _broken(file, line, "expected keys such as pack, version and templates")
    try:
        return Pack.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        reason = f"{where}: {told}" if where else told
        place = first.get("ctx", {}).get("place", first["loc"])
        raise _broken(file, _line_at(root, place), reason) from error


def _compose(text: str, file: str) -> yaml.Node:
    """Return the node tree, which knows lines; refuses what would hide or repeat content."""
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.AliasEvent):
            line = 0 if event.start_mark is None else int(event.start_mark.line)
            raise _broken(file, line, "aliases are not used in packs; write it out")
    root = yaml.compose(text, Loader=yaml.BaseLoader)
    if root is None:
        raise _broken(file, 0, "the file is empty; expected pack, version and templates")
    for mapping in _mappings(root):
        seen: set[str] = set()
        for key, _ in mapping.value:
            name = str(key.value)
            if name in seen:
                raise _broken(file, _line_at(key, ()), f"key {name!r} stands here twice")
            seen.add(name)
    return root


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _line_at(node: yaml.Node, loc: tuple[int | str, ...]) -> int:
    """Return the 0-based line where the deepest part of `loc` that exists begins."""
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            below = {key.value: value for key, value in node.value}.get(part)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = node.value[part] if part < len(node.value) else None
        else:
            below = None
        if below is None:
            break
        node = below
    return 0 if node.start_mark is None else int(node.start_mark.line)


def _fields(question: str) -> list[str]:
    """Return the names of the placeholders, or raise ValueError for what `fill` can't fill."""
    fields = []
    for _, name, spec, conversion in Formatter().parse(question):
        if name is None:
            continue
        if spec or conversion:
            raise ValueError(f"placeholder {{{name}}} has a format; write it bare")
        fields.append(name)
    return fields


def _broken(file: str, line: int, reason: str) -> ConfigError:
    return ConfigError(f"{file}:{line + 1}: {reason}")
