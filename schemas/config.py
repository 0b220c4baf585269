"""The configuration: one frozen pydantic model, mirrored by one TOML file and by Prefect's form.

Each stage reads its own section and nothing else of it: changing a field makes stale the stage
whose section it stands in, and what depends on that. `fetch` and `run` are in no stage's key.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the configuration; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ProbeConfig(Section):
    """Opening and measuring the videos."""

    max_bytes: int = Field(4_000_000_000, gt=0, description="larger files are quarantined")
    silence_dbfs: float = Field(-60, le=0, description="peak level below which sound is silence")


class CaptionsConfig(Section):
    """Reading captions and events of the manifest."""

    tolerance_s: float = Field(
        0.5, ge=0, description="times that lie beyond the video's end by no more are cut to it"
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

    backend: Literal["rules"] = Field("rules", description="rules: tagger and lexicon, no key")
    categories: tuple[str, ...] = Field(
        (), description="event labels to choose from; empty: those of the lexicon"
    )


class ObjectsConfig(Section):
    """Key-object extraction: which of the named things are followed."""

    max_objects_per_event: int = Field(8, ge=1, description="most confident first")


class TrackConfig(Section):
    """Box tracking."""

    backend: Literal["synchrony", "import"] = Field(
        "synchrony",
        description="synchrony: regions whose motion follows the sound; weak, no weights. "
        "import: tracks that lie in files",
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

    @model_validator(mode="after")
    def _import_has_a_path(self) -> Self:
        if self.backend == "import" and not self.import_path:
            raise ValueError("track.backend is import: expected track.import_path, the files")
        return self


class InspectConfig(Section):
    """Inspection of events and their tubes."""

    backend: Literal["automatic"] = Field(
        "automatic", description="automatic: rules alone, every row says that nobody looked"
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


class ReleaseConfig(Section):
    """Publishing."""

    name: str = Field("earshot", pattern=r"^[A-Za-z0-9_.-]+$", description="name of the dataset")
    licence: str = Field("other", description="licence of the annotations, for the card")
    row_group_rows: int = Field(8192, ge=1, description="rows a Parquet row group")
    shard_rows: int = Field(200_000, ge=1, description="rows a Parquet file at most")
    allow_empty: bool = Field(False, description="publish although there is no question")
    exclusion_lists: tuple[str, ...] = Field(
        (),
        description="files with the videos of named benchmarks, an id or sha256 a line; the "
        "file's name is the benchmark's, and an overlap fails the release",
    )
    max_best_constant_m_tiou: float = Field(
        0.30, ge=0, le=1, description="best constant time answer on temporal test questions"
    )
    min_baseline_questions: int = Field(
        100, ge=1, description="with fewer temporal test questions that limit only warns"
    )


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


class RunConfig(Section):
    """How a build runs; changes no result and is in no key."""

    batch_size: int = Field(50, ge=1, description="videos a task run, light stages")
    track_batch_size: int = Field(8, ge=1, description="videos a task run, tracking")
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
    run: RunConfig = RunConfig()
