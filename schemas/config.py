"""The configuration: one frozen pydantic model, mirrored by one TOML file and by Prefect's form.

Each stage reads its own section and nothing else of it: changing a field makes stale the stage
whose section it stands in, and what depends on that. `fetch` and `run` are in no stage's key.
"""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from earshot.schemas.numbers import PlainNumbers


class Section(PlainNumbers):
    """A part of the configuration; unknown fields are errors."""

    # A secret that was put into a field by mistake is in no traceback.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class ProbeConfig(Section):
    """Opening and measuring the videos."""

    max_bytes: int = Field(4_000_000_000, gt=0, description="larger files are quarantined")
    silence_dbfs: float = Field(-60, le=0, description="peak level below which sound is silence")


class CaptionsConfig(Section):
    """Reading captions and events of the manifest."""

    tolerance_s: float = Field(
        0.5, ge=0, description="times that lie beyond the video's end by no more are cut to it"
    )
    generate: Literal["no", "openai"] = Field(
        "no", description="openai: the model of [llm] describes videos that have no text"
    )
    generate_fps: float = Field(0.5, gt=0, description="frames a second that it is shown")
    generate_frames: int = Field(
        24, ge=1, le=250, description="at most so many of a video, evenly apart"
    )
    generate_px: int = Field(512, ge=64, description="longer side of these frames")
    generate_audio: bool = Field(
        False, description="send the sound too; only for endpoints that take `input_audio`"
    )


class FilterConfig(Section):
    """Which videos are used (R-AVST section 3; CONTRACTS 3)."""

    min_duration_s: float = Field(0, ge=0, description="shorter videos are filtered")
    max_duration_s: float = Field(60.5, gt=0, description="longer videos are filtered")
    min_event_share: float = Field(
        0.08, ge=0, le=1, description="union of all event segments over duration, at least"
    )
    max_events: int = Field(3, ge=1, description="distinct event labels a video, at most")
    require_sound: bool = Field(False, description="filter videos without an audible track")


class AnalyseConfig(Section):
    """Caption analysis."""

    backend: Literal["rules", "openai"] = Field(
        "rules",
        description="rules: tagger and lexicon, no key. openai: the model of [llm], any "
        "OpenAI-compatible endpoint",
    )
    categories: tuple[str, ...] = Field(
        (), description="event labels to choose from; empty: those of the lexicon"
    )


class ObjectsConfig(Section):
    """Key-object extraction: which of the named things are followed."""

    max_objects_per_event: int = Field(8, ge=1, description="most confident first")


ORIGINAL_DETECTOR = "ShilongLiu/GroundingDINO/groundingdino_swint_ogc.pth"


class TrackConfig(Section):
    """Box tracking."""

    backend: Literal["synchrony", "import", "grounded_sam2", "grounded_sam2_original"] = Field(
        "synchrony",
        description="synchrony: regions whose motion follows the sound; weak, no weights. "
        "import: tracks that lie in files. grounded_sam2: Grounding DINO and SAM 2 (extra "
        "`vision`, a GPU). grounded_sam2_original: the same by their authors' packages (extra "
        "`original`)",
    )
    fps: float = Field(5, gt=0, description="native sampling of tubes; the 1 s grid is sampled")
    long_side_px: int = Field(192, ge=64, description="working size of the embedded tracker")
    margin_s: float = Field(1.0, ge=0, description="context before and after the event's window")
    decoder: Literal["pyav", "decord"] = Field(
        "pyav",
        description="what decodes the frames; decord (extra `original`) reads neither AV1 nor "
        "mirrored pictures",
    )
    import_path: str = Field(
        "",
        description="import: a table of tubes or its folder; for mot and davis a path with "
        "{video_id} in it, or a folder of VIDEO.txt files or VIDEO folders; relative to the input",
    )
    import_format: Literal["tubes", "mot", "davis"] = Field(
        "tubes", description="import: our Parquet tubes, MOT text, or DAVIS mask images"
    )
    import_names: tuple[str, ...] = Field(
        (),
        description="import: which object a track of the file is, as TRACK=NAME; TRACK is its id, "
        "or `class N` for a class of MOT text; VIDEO_ID/TRACK=NAME holds for one video",
    )

    detector: str = Field(
        "IDEA-Research/grounding-dino-base",
        description="grounded_sam2: a folder with a (MM) Grounding DINO, or its id on the hub. "
        "grounded_sam2_original: a .pth file, its folder, or OWNER/NAME/FILE on the hub; by "
        f"default {ORIGINAL_DETECTOR}",
    )
    segmenter: str = Field(
        "facebook/sam2.1-hiera-large",
        description="grounded_sam2: a folder with a SAM 2 video model, or its id on the hub. "
        "grounded_sam2_original: a .pt file, its folder, or an id",
    )
    box_threshold: float = Field(
        0.4, gt=0, lt=1, description="grounded_sam2: least score of a detection (R-AVST)"
    )
    text_threshold: float = Field(
        0.3, gt=0, lt=1, description="grounded_sam2: least score of a name for a box (R-AVST)"
    )
    key_every_s: float = Field(
        2.5, gt=0, description="grounded_sam2: seconds between the frames that are detected"
    )
    piece_frames: int = Field(
        64, ge=16, description="grounded_sam2: frames held at a time; bounds the memory"
    )
    device: Literal["cuda", "cpu"] = Field("cuda", description="grounded_sam2: where it runs")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="grounded_sam2: auto is bfloat16 on a GPU that has it, else float32"
    )
    compile: bool = Field(
        False, description="grounded_sam2: compile SAM 2; pays off after some hundred videos"
    )
    masks: bool = Field(
        False,
        description="grounded_sam2: also keep the mask of each box, as COCO run lengths in the "
        "table tube_masks; some 200 bytes a box",
    )

    @model_validator(mode="before")
    @classmethod
    def _original_has_its_own_detector(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("backend") == "grounded_sam2_original":
            return {"detector": ORIGINAL_DETECTOR, **data}
        return data

    @model_validator(mode="after")
    def _masks_have_a_segmenter(self) -> Self:
        if self.masks and not self.backend.startswith("grounded_sam2"):
            raise ValueError(
                f"track.masks is on and track.backend is {self.backend}, which makes no masks: "
                "expected grounded_sam2 or grounded_sam2_original"
            )
        return self

    @model_validator(mode="after")
    def _import_has_a_path(self) -> Self:
        if self.backend == "import" and not self.import_path:
            raise ValueError("track.backend is import: expected track.import_path, the files")
        return self


class InspectConfig(Section):
    """Inspection of events and their tubes."""

    backend: Literal["automatic", "label_studio"] = Field(
        "automatic",
        description="automatic: rules decide where no person did, and every row says that nobody "
        "looked. label_studio: what no person has inspected waits (`earshot inspect`)",
    )
    min_visible_share: float = Field(
        0.2, ge=0, le=1, description="a tube that is visible for less of its window is rejected"
    )
    max_box_share: float = Field(
        0.9, gt=0, le=1, description="a tube whose median box covers more of the frame is rejected"
    )


class QuestionsConfig(Section):
    """Templated questions."""

    pack: str = Field(
        "r-avst", description="template pack in prompts/questions/, or the path of a .yaml file"
    )
    min_visible_share: float = Field(
        0.5, ge=0, le=1, description="of the grid times that a tube should cover (CONTRACTS 5)"
    )
    max_event_cover: float = Field(
        0.9, gt=0, le=1, description="events that cover more of the video ask no time"
    )
    max_answer_tokens: int = Field(
        2048,
        ge=64,
        description="longer answers are refused; estimated as a tokenizer that splits digits",
    )
    validation_share: float = Field(0.1, ge=0, lt=1, description="of the videos or split groups")
    test_share: float = Field(0.2, ge=0, lt=1, description="of the videos or split groups")
    split_seed: int = Field(0, description="changes which video falls into which split")

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share {self.validation_share} and test_share {self.test_share}: "
                "expected a sum below 1; lower one of them"
            )
        return self


GateName = Literal[
    "split",
    "near_duplicate",
    "duplicate",
    "unique",
    "dangling",
    "contradiction",
    "span",
    "frame",
    "box",
    "tube",
    "coverage",
    "whole_video",
    "answer",
    "truth",
    "length",
    "reward",
    "rederived",
    "excluded",
    "blind",
    "empty",
]
"""The gates of a release; `tasks.publish_release.gates` says what each refuses."""


class Quota(Section):
    """No value of a trait may have more than a share of the questions."""

    by: Literal[
        "task",
        "branch",
        "duration_group",
        "events",
        "category",
        "start",
        "length",
        "answer_position",
    ] = Field(
        description="the trait; start and length are tenths of the video that a time answer has"
    )
    max_share: float = Field(
        gt=0, le=1, description="of the questions of a split that have the trait, for each value"
    )


class ReleaseConfig(Section):
    """Publishing."""

    name: str = Field("earshot", pattern=r"^[A-Za-z0-9_.-]+$", description="name of the dataset")
    licence: str = Field(
        "other", description="licence of the annotations, for the card; other: none that is known"
    )
    row_group_rows: int = Field(8192, ge=1, description="rows a Parquet row group")
    shard_rows: int = Field(200_000, ge=1, description="rows a Parquet file at most")
    allow_empty: bool = Field(False, description="publish although there is no question")
    exclusion_lists: tuple[str, ...] = Field(
        (),
        description="[NAME=]FILE[#SUBSET]: videos of named benchmarks, an id or sha256 a line, "
        "or a benchmark's own annotation file; an overlap fails the release",
    )
    drop_excluded: bool = Field(
        False, description="leave videos of a benchmark out instead of failing the release"
    )
    takedown_list: str = Field(
        "", description="file like an exclusion list: these videos are left out, whatever the rest"
    )
    licences: tuple[str, ...] = Field(
        (), description="leave out videos with another licence or none; empty: all licences pass"
    )
    quotas: tuple[Quota, ...] = Field(
        (), description="shares that no value may exceed in any split; what is over is left out"
    )
    quota_seed: int = Field(0, description="changes which of equal questions the quotas leave out")
    limits: dict[GateName, int] = Field(
        {},
        description="offenders that a gate lets through, such as {coverage = 3}; a gate that is "
        "not named lets none through",
    )
    min_visible_share: float = Field(
        0.5, ge=0, le=1, description="gate coverage: of a tube's times in an answer, at least"
    )
    max_event_cover: float = Field(
        0.9,
        gt=0,
        le=1,
        description="gate whole_video: share of the video that a time answer covers",
    )
    max_answer_tokens: int = Field(
        2048, ge=64, description="gate length: tokens of an answer that a trained model may write"
    )
    max_best_constant_m_tiou: float = Field(
        0.30, ge=0, le=1, description="gate blind: best constant time answer on test, m_tIoU"
    )
    max_whole_video_m_tiou: float = Field(
        0.50, ge=0, le=1, description="gate blind: the whole video as time answer, m_tIoU"
    )
    max_blind_box_m_viou: float = Field(
        0.40, ge=0, le=1, description="gate blind: full-frame or best constant box, m_vIoU"
    )
    max_common_object_f1: float = Field(
        0.50, ge=0, le=1, description="gate blind: most common object as spatial answer, object_f1"
    )
    text_only_questions: int = Field(
        0,
        ge=0,
        description="test questions of each task, at most, that the model of [llm] answers without "
        "the video, for the blind baselines of the card; 0: it is not asked",
    )
    max_text_only: float = Field(
        0.50,
        ge=0,
        le=1,
        description="gate blind: that model's m_tIoU, object_f1 and m_vIoU",
    )
    min_baseline_questions: int = Field(
        100, ge=1, description="with fewer test questions of a task its blind limits only warn"
    )

    @field_validator("licence")
    @classmethod
    def _says_a_licence(cls, licence: str) -> str:
        if not licence.strip():
            raise ValueError(
                f"release.licence is {licence!r}: expected the licence of the annotations for the "
                "card, such as cc-by-4.0, or other"
            )
        return licence


class FetchConfig(Section):
    """Bringing remote videos to the local disk; changes no result and is in no key."""

    cache_bytes: int = Field(
        50_000_000_000,
        gt=0,
        description="size of all copies together; those in use stay also beyond it",
    )
    request_s: float = Field(
        60, gt=0, description="limit of one request, and of each 4 MiB of a stream"
    )
    attempts: int = Field(4, ge=1, description="tries of one request whose fault may pass")
    wait_s: float = Field(
        0.5, ge=0, description="first wait between them; each next may be twice as long, up to 20 s"
    )


class Price(Section):
    """What one model costs, in USD per million tokens."""

    model: str = Field(min_length=1, description="name; dated snapshots of it cost the same")
    input_usd: float = Field(ge=0, description="per million input tokens")
    cached_usd: float = Field(ge=0, description="per million input tokens of a cached prompt")
    output_usd: float = Field(ge=0, description="per million output tokens")
    batch_share: float = Field(0.5, ge=0, le=1, description="part of the price that a batch costs")


def _price(model: str, input_usd: float, cached_usd: float, output_usd: float) -> Price:
    return Price(model=model, input_usd=input_usd, cached_usd=cached_usd, output_usd=output_usd)


#: As published in November 2026; they change, so the table is part of the configuration.
PRICES = (
    _price("gpt-4o-mini", 0.15, 0.075, 0.60),
    _price("gpt-4.1-nano", 0.10, 0.025, 0.40),
    _price("gpt-4.1-mini", 0.40, 0.10, 1.60),
    _price("gpt-5-nano", 0.05, 0.005, 0.40),
    _price("gpt-5-mini", 0.25, 0.025, 2.00),
)


class LlmConfig(Section):
    """The language model that stages with backend openai ask."""

    # model, revision, temperature and max_output_tokens decide what comes out and are in the keys
    # of those stages; nothing else here is.

    endpoint: str = Field(
        "https://api.openai.com/v1",
        description="base address of an OpenAI-compatible endpoint; vLLM: "
        "http://127.0.0.1:8000/v1, Ollama: http://127.0.0.1:11434/v1",
    )
    model: str = Field("gpt-4o-mini", min_length=1, description="its name there")
    revision: str = Field(
        "", description="change it when another model answers to the same name: all is asked anew"
    )
    key_env: str = Field(
        "OPENAI_API_KEY",
        description="NAME of the environment variable that holds the key, never the key itself; "
        "empty: the endpoint wants none",
    )
    mode: Literal["live", "batch"] = Field(
        "live", description="batch: the Batch API, half the price, answers within a day"
    )
    response_format: Literal["auto", "json_schema", "json_object", "text"] = Field(
        "auto", description="auto: the strictest that the endpoint takes, found out once"
    )
    temperature: float | None = Field(0, ge=0, le=2, description="not set: the model's own")
    max_output_tokens: int = Field(1500, ge=1, description="a longer answer is cut off: a fault")
    in_flight: int = Field(32, ge=1, le=1024, description="requests at a time, per process")
    requests_per_minute: int | None = Field(
        None, ge=1, description="not set: what the endpoint's headers say, else no limit"
    )
    tokens_per_minute: int | None = Field(
        None, ge=1, description="input and output; not set: as the headers say, else no limit"
    )
    timeout_s: float = Field(120, gt=0, description="for one answer")
    attempts: int = Field(6, ge=1, description="tries of one request: 429, 5xx, lost connections")
    longest_wait_s: float = Field(60, gt=0, description="between two tries, at most")
    max_budget_usd: float | None = Field(
        None, ge=0, description="all that this workspace's requests may cost; not set: no limit"
    )
    prices: tuple[Price, ...] = Field(PRICES, description="USD per million tokens, by model")

    @field_validator("key_env")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        # The value may be the key itself: no message may repeat it.
        if name and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            raise ValueError(
                "expected the NAME of an environment variable, such as OPENAI_API_KEY; if this was "
                "the key itself, take it out of the file and set the variable instead"
            )
        return name

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                "expected an address without user, password and query: a key belongs into the "
                "environment variable that llm.key_env names"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> Self:
        if self.max_budget_usd is not None and self.price is None:
            raise ValueError(
                f"llm.max_budget_usd is set, but llm.prices has no row for model {self.model!r}: "
                "add one (0 for a model of your own)"
            )
        return self

    @property
    def price(self) -> Price | None:
        """The price of the model, or of the model that it is a dated snapshot of."""
        for one in self.prices:
            if re.fullmatch(re.escape(one.model) + r"(-\d{4}-?\d{2}-?\d{2})?", self.model):
                return one
        return None


class LabelStudioConfig(Section):
    """Where people inspect; changes no result and is in no key."""

    url: str = Field(
        "",
        description="address of a server that exists; empty: the one that `earshot inspect serve` "
        "runs for this workspace",
    )
    token_env: str = Field(
        "LABEL_STUDIO_TOKEN",
        description="NAME of the environment variable that holds a personal access token for url",
    )
    media_root: str = Field(
        "",
        description="for url: the folder that the server shows (its LOCAL_FILES_DOCUMENT_ROOT), as "
        "this machine sees it; clips are put below it",
    )
    project: str = Field(
        "",
        description="title of the project; empty: made of the workspace's name, on a server that "
        "others use too (url) of its path as well",
    )
    margin_s: float = Field(
        3.0, ge=0, description="seconds of the video that a clip has before and after its event"
    )
    timeout_s: float = Field(120.0, gt=0, description="seconds that the server has for an answer")
    second_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of the events, drawn by their ids: another person decides about them too, in "
        "a project of their own, without seeing what the first one did",
    )
    agree_iou: float = Field(
        0.7,
        ge=0,
        le=1,
        description="mean tube IoU, and IoU of the segments, from which on two people mean the "
        "same; below it, or where their verdicts differ, a third one decides",
    )
    gold: tuple[str, ...] = Field(
        (),
        description="ids of inspected events whose decision is the truth: they are asked again, "
        "hidden among the others, and each annotator is measured by them",
    )
    gold_share: float = Field(
        0.05, ge=0, le=1, description="hidden tasks about gold events, of the events sent"
    )
    question_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of the questions, drawn by their ids: people see them with their answers; "
        "what they reject is not published",
    )

    @model_validator(mode="after")
    def _a_server_has_a_media_root(self) -> Self:
        if self.url and not self.media_root:
            raise ValueError(
                "label_studio.url is set: expected label_studio.media_root too, the folder that "
                "that server shows"
            )
        return self

    @field_validator("token_env")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        # The value may be the token itself: no message may repeat it.
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            raise ValueError(
                "expected the NAME of an environment variable, such as LABEL_STUDIO_TOKEN"
            )
        return name


class RunConfig(Section):
    """How a build runs; changes no result and is in no key."""

    batch_size: int = Field(100, ge=1, description="videos a task run, light stages")
    track_batch_size: int = Field(16, ge=1, description="videos a task run, tracking")
    shard_size: int = Field(500, ge=1, description="videos a flow run")
    limit_s: float = Field(
        120,
        gt=0,
        description="wall limit for measuring one video, decoding one frame of it, or running an "
        "isolated stage on it",
    )
    isolate: tuple[str, ...] = Field(
        ("analyse",),
        description="stages that run in a child process, so that a video on which they hang or "
        "run out of memory is quarantined; decoding always does. Costs a second a build",
    )
    workers: int = Field(2, ge=1, description="batches at a time")
    failure_share: float = Field(
        0.2, ge=0, le=1, description="more quarantined videos than this fail the build"
    )
    failure_first: int = Field(
        10, ge=1, description="the build stops when its first so many videos all fail in a stage"
    )
    failure_batch: float = Field(
        0.9,
        ge=0,
        le=1,
        description="the build stops when more than this share of a batch of at least "
        "`failure_first` videos fails: then it is hardly the videos' fault",
    )
    max_attempts: int = Field(3, ge=1, description="tries of a transient fault over all builds")


class Config(Section):
    """Everything that a build can be told."""

    probe: ProbeConfig = ProbeConfig()
    captions: CaptionsConfig = CaptionsConfig()
    filter: FilterConfig = FilterConfig()
    analyse: AnalyseConfig = AnalyseConfig()
    objects: ObjectsConfig = ObjectsConfig()
    track: TrackConfig = TrackConfig()
    inspect: InspectConfig = InspectConfig()
    questions: QuestionsConfig = QuestionsConfig()
    release: ReleaseConfig = ReleaseConfig()
    fetch: FetchConfig = FetchConfig()
    llm: LlmConfig = LlmConfig()
    label_studio: LabelStudioConfig = LabelStudioConfig()
    run: RunConfig = RunConfig()
