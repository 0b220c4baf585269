"""Takes what a release is, gives the text of its `README.md`: a Hugging Face dataset card.

The YAML on top names the splits and tables, so that `load_dataset(folder)` finds them; the text
comes from `card.md.j2`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import combinations, groupby

import jinja2
import pyarrow as pa
import yaml

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.inspection_report import InspectionReport
from earshot.schemas.ledger import REASONS
from earshot.schemas.release import LedgerCount, ReleaseManifest
from earshot.store.inspection_report import rows_of
from earshot.tasks.publish_release.balance import Balanced
from earshot.tasks.publish_release.baselines import Baselines
from earshot.tasks.publish_release.contents import Contents
from earshot.tasks.publish_release.diff import ReleaseDiff, stored_at
from earshot.tasks.publish_release.exclusions import Overlap
from earshot.tasks.publish_release.gates import GATES
from earshot.tasks.publish_release.shards import SPLITS
from earshot.tasks.publish_release.spool import distinct, values_of, videos_of

TASKS = {
    "temporal": "when does the object sound and is visible",
    "spatial": "which objects sound (or are silent) in a stretch, and where",
    "spatio_temporal": "when does the object sound and is visible, and where is it",
}
DIFF_SHOWN = 10
BALANCE_SHOWN = 10
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Card:
    """All that the card speaks of."""

    manifest: ReleaseManifest
    tables: Mapping[str, pa.Table]
    baselines: Baselines
    overlaps: tuple[Overlap, ...]
    diff: ReleaseDiff
    plots: tuple[str, ...]
    config: ReleaseConfig
    contents: Contents
    inspection: InspectionReport | None = None

    @property
    def front_matter(self) -> str:
        """YAML between the `---` lines."""
        manifest = self.manifest
        matter = {
            "pretty_name": f"{manifest.name} v{manifest.version}",
            "license": manifest.licence,
            "language": ["en"],
            "task_categories": ["visual-question-answering", "video-text-to-text"],
            "tags": ["audio-visual", "spatio-temporal-grounding", "sounding-objects", "earshot"],
            "size_categories": [size_category(self.n_questions)],
            "configs": self.configs,
        }
        text: str = yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)
        return text

    @property
    def configs(self) -> list[dict[str, object]]:
        """What `load_dataset` offers: the questions by split, and every table with rows."""
        files: list[dict[str, str]] = [
            {"split": split, "path": f"data/{split}/*.parquet"} for split in self.splits
        ]
        questions: list[dict[str, object]] = (
            [{"config_name": "questions", "default": True, "data_files": files}] if files else []
        )
        return questions + [
            {"config_name": name, "data_files": stored_at(name)}
            for name, table in self.tables.items()
            if name != "questions" and table.num_rows
        ]

    @property
    def splits(self) -> list[str]:
        """Splits that have a question, in the usual order."""
        return [split for split in SPLITS if split in self.manifest.questions]

    @property
    def n_questions(self) -> int:
        """Questions of all splits."""
        return sum(sum(tasks.values()) for tasks in self.manifest.questions.values())

    @property
    def n_videos(self) -> int:
        """Videos with a question."""
        return len(videos_of(self.tables["questions"]))

    @property
    def hours(self) -> float:
        """Length of these videos together."""
        asked = videos_of(self.tables["questions"])
        pairs = values_of(self.tables["media"], ["video_id", "duration_s"])
        return sum(float(duration_s) for video_id, duration_s in pairs if video_id in asked) / 3600

    @property
    def people(self) -> list[tuple[str, str]]:
        """What people's work came to, (what, how much); nothing where nobody inspected."""
        told = self.inspection
        if told is None or not (told.done or told.questions.inspected):
            return []
        return rows_of(told)

    @property
    def near_duplicates(self) -> int:
        """Pairs of videos that show the same."""
        return len(self.contents.near_duplicates)

    @property
    def without_fingerprint(self) -> int:
        """Videos that could not be compared."""
        return self.contents.without_fingerprint

    @property
    def balance(self) -> list[Balanced]:
        """The values of quotas with the most questions, of each split and quota ten."""
        shown: list[Balanced] = []
        for _, rows in groupby(self.contents.balance, key=lambda row: (row.split, row.by)):
            shown += sorted(rows, key=lambda row: (-row.made, row.value))[:BALANCE_SHOWN]
        return shown

    @property
    def shared(self) -> list[dict[str, object]]:
        """What each two splits share; all is 0, or the gates let it through."""
        return [shared(self.contents, *pair) for pair in combinations(SPLITS, 2)]

    @property
    def refusals(self) -> list[tuple[LedgerCount, str, int, str]]:
        """(stage row, reason code, items, sentence), the most frequent of a stage first."""
        return [
            (row, code, count, REASONS[code].sentence if code in REASONS else "")
            for row in self.manifest.ledger
            for code, count in sorted(row.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
            if count
        ]

    @property
    def absences(self) -> list[tuple[str, str, str, int]]:
        """(stage, status, reason code, videos) of the videos that are not in the release."""
        rows = values_of(self.tables["absent"], ["stage", "status", "reason_code"])
        counts = Counter((stage, status, code or "") for stage, status, code in rows)
        return [(*key, count) for key, count in sorted(counts.items())]


def shared(contents: Contents, one: str, other: str) -> dict[str, object]:
    """Return how many videos, files, split groups and near duplicates two splits share."""
    of: dict[str, set[str]] = {one: set(), other: set()}
    for video_id, split in distinct(contents.questions, ["video_id", "split"]):
        of.get(split, set()).add(video_id)

    def values(name: str, field: str) -> set[str]:
        rows = values_of(contents.videos, ["video_id", field])
        return {value for video_id, value in rows if video_id in of[name] and value is not None}

    near = contents.near_duplicates
    return {
        "splits": f"{one} and {other}",
        "videos": len(of[one] & of[other]),
        "files": len(values(one, "sha256") & values(other, "sha256")),
        "groups": len(values(one, "split_group") & values(other, "split_group")),
        "near": sum(
            (a in of[one] and b in of[other]) or (a in of[other] and b in of[one]) for a, b in near
        ),
    }


def render(card: Card) -> str:
    """Return the text of `README.md`."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown: escaping is done where a table cell needs it)
    )
    environment.filters.update(cell=cell, n="{:,}".format, stored_at=stored_at)
    text = resources.files(__package__).joinpath("card.md.j2").read_text(encoding="utf-8")
    template = environment.from_string(text)
    return template.render(
        card=card, manifest=card.manifest, tasks=TASKS, shown=DIFF_SHOWN, gates=GATES
    )


def size_category(questions: int) -> str:
    """Return the Hugging Face size category, such as `1K<n<10K`."""
    names = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"]
    return names[sum(questions >= limit for limit in _SIZES)]


def cell(text: object) -> str:
    """Return text that can stand in a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
