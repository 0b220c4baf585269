"""Publishes a release: takes the current tables of a build, gives an immutable, versioned folder.

Files are written to a staging folder, the manifest last, and become visible in one step. Never
changes a version that is there; content that is published already makes no new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from earshot.prompts.answering import answer_prompt, answer_prompt_version
from earshot.schemas.base import digest_of
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.ledger import NOT_BUILT
from earshot.schemas.release import (
    MANIFEST,
    FileEntry,
    LedgerCount,
    PreviousRelease,
    ReleaseManifest,
    RewardWeights,
    SystemPrompts,
)
from earshot.store.stage import Estimate
from earshot.tasks.publish_release import card, croissant, semver
from earshot.tasks.publish_release.answered import FineRows, blind_rows
from earshot.tasks.publish_release.baselines import Baselines, measure, over_limit
from earshot.tasks.publish_release.contents import Contents, assemble
from earshot.tasks.publish_release.diff import ReleaseDiff, compare
from earshot.tasks.publish_release.exclusions import Listed, Overlap, find_overlaps, read_lists
from earshot.tasks.publish_release.facts import read_facts
from earshot.tasks.publish_release.files import list_files, write_json
from earshot.tasks.publish_release.gates import Offence, check_answers, check_gates, count_gates
from earshot.tasks.publish_release.selection import ledger_count
from earshot.tasks.publish_release.shards import write_questions, write_tables
from earshot.tasks.publish_release.shelf import Published, Shelf, open_shelf
from earshot.tasks.publish_release.source import (
    ReleaseSource,
    check_tables,
    content_digest,
    schema_digest,
)
from earshot.tasks.publish_release.spool import distinct, let_go, values_of, videos_of
from earshot.tasks.publish_release.tally import Tally

if TYPE_CHECKING:  # the client is imported only where a model is asked
    from earshot.tasks.publish_release.text_only import TextOnly

DESCRIPTION = (
    "Questions about which object makes the sound, when, and where in the frame, with box tubes."
)


@dataclass(frozen=True)
class Publication:
    """What `publish` did.

    Attributes:
        folder: of the release, a path or a URL.
        is_new: False where the last version has this content already.
        message: that in a sentence.
        warnings: as in the manifest and the card, and what the place lacks; empty where nothing is
            new.
        removed: leftovers of killed publications that were cleaned away.
        count: how the questions fared: published, or left out and why.
    """

    folder: str
    version: int
    is_new: bool
    message: str
    warnings: tuple[str, ...]
    removed: tuple[str, ...]
    count: LedgerCount


def foresee(
    source: ReleaseSource, out: Path | str, config: ReleaseConfig, text_only: TextOnly
) -> Estimate:
    """Return what `publish` of this source will take of the model that sees no video.

    Args: as of `publish`; nothing is written.

    Raises:
        ReleaseError: the last version can't be read, or the quotas can't be solved.
        ConfigError: an exclusion list can't be read.
    """
    previous = open_shelf(out, config.name).latest()
    contents, tally = _gather(source, previous, config, read_lists(config.exclusion_lists))
    return text_only.estimate(FineRows(contents, tally, "test"), config.text_only_questions)


@dataclass(frozen=True)
class _Draft:
    """A release that has passed its gates."""

    source: ReleaseSource
    config: ReleaseConfig
    weights: RewardWeights
    contents: Contents
    tally: Tally
    overlaps: tuple[Overlap, ...]
    baselines: Baselines
    offences: tuple[Offence, ...]
    version: int
    digest: str
    previous: Published | None
    now: datetime


def publish(
    source: ReleaseSource,
    out: Path | str,
    config: ReleaseConfig,
    *,
    weights: RewardWeights | None = None,
    now: datetime | None = None,
    text_only: TextOnly | None = None,
) -> Publication:
    """Publish the next version `<out>/<config.name>-v<n>`, unless the last one has this content.

    Args:
        source: current rows of a build.
        out: folder or fsspec URL under which the versions stand.
        config: name, licence, Parquet sizes, gates.
        weights: reward weights to state in the manifest; those of CONTRACTS 7 if not given.
        now: time of publication; the clock's if not given.
        text_only: the model that answers `config.text_only_questions` without a video.

    Raises:
        ReleaseError: a gate refuses the release, a table is not as expected, or another process
            published at the same time. Nothing is left behind.
        ConfigError: an exclusion list can't be read.
        EndpointError: the model refuses every request.
    """
    check_tables(source.tables)
    shelf = open_shelf(out, config.name)
    removed = shelf.clean()
    draft = _draft(
        source, shelf, config, weights or RewardWeights(), now or datetime.now(UTC), text_only
    )
    if draft.previous is not None and draft.previous.head.content_digest == draft.digest:
        same = draft.previous
        place = shelf.address(same.folder)
        message = f"{place} has exactly this content: nothing new is published"
        return Publication(place, same.head.version, False, message, (), removed, _count(draft))
    warnings = _warnings(draft)
    with shelf.staging() as folder:
        _write(draft, folder, warnings)
        target, note = shelf.take_in(folder, draft.version)
    target = shelf.address(target)
    message = f"published {draft.tally.questions:,} questions as {target}"
    notes = (*warnings, note) if note else warnings
    return Publication(target, draft.version, True, message, notes, removed, _count(draft))


def _draft(
    source: ReleaseSource,
    shelf: Shelf,
    config: ReleaseConfig,
    weights: RewardWeights,
    now: datetime,
    text_only: TextOnly | None,
) -> _Draft:
    """Assemble the next version and lead it through the gates."""
    previous = shelf.latest()
    lists = read_lists(config.exclusion_lists)
    contents, tally = _gather(source, previous, config, lists)
    asked = frozenset(videos_of(contents.questions))
    overlaps = find_overlaps(lists, contents.videos, asked, contents.dropped)
    blind = (*measure(tally).rows, *blind_rows(contents, tally))
    if text_only is not None and config.text_only_questions:
        test = FineRows(contents, tally, "test")
        blind = (*blind, *text_only.rows(test, config.text_only_questions))
    baselines = Baselines(blind)
    offences = check_gates(contents, tally, overlaps, baselines, config)
    return _Draft(
        source=source,
        config=config,
        weights=weights,
        contents=contents,
        tally=tally,
        overlaps=overlaps,
        baselines=baselines,
        offences=offences,
        version=_next(previous),
        digest=content_digest(contents.tables, config.licence),
        previous=previous,
        now=now,
    )


def _gather(
    source: ReleaseSource,
    previous: Published | None,
    config: ReleaseConfig,
    lists: Sequence[Listed],
) -> tuple[Contents, Tally]:
    """Return what the version after `previous` holds, and what its questions come to."""
    before = previous.read("splits.parquet") if previous else None
    contents = assemble(source, before, _next(previous), config, lists)
    durations_s = dict(values_of(contents.videos, ["video_id", "duration_s"]))
    return contents, Tally.of(read_facts(contents.questions, durations_s, config))


def _next(previous: Published | None) -> int:
    return previous.head.version + 1 if previous else 1


def _write(draft: _Draft, folder: Path, warnings: tuple[str, ...]) -> None:
    """Write every file of the release into an empty folder, the manifest last."""
    contents, config = draft.contents, draft.config
    tables = dict(contents.tables)
    write_questions(contents.questions, folder / "data", config)
    write_tables(contents.stage_tables, folder / "tables", config)
    write_tables(
        {name: tables[name] for name in ("media", "absent", "dropped", "splits")}, folder, config
    )
    let_go()
    found = (*draft.offences, *check_answers(folder, draft.tally, config))
    draft = replace(draft, offences=found)
    parquet = list_files(folder)
    diff = compare(tables, draft.version, draft.previous)
    write_json(folder / "diff.json", diff)
    # matplotlib takes a second to import: only a build that does publish pays it.
    from earshot.tasks.draw_inspection import draw_inspection
    from earshot.tasks.publish_release.plots import draw_all
    from earshot.tasks.publish_release.world_plots import World

    split_of = dict(distinct(contents.questions, ["video_id", "split"]))
    world = World(tables, split_of, draft.source.ledger_counts, draft.baselines)
    names = draw_all(draft.tally, folder / "plots", world)
    if (told := draft.source.inspection) and told.done:
        draw_inspection(told, folder / "plots" / "inspection.png")
    described = croissant.describe(
        config.name,
        semver.text(diff, draft.previous, config.licence),
        config.licence,
        draft.now.date().isoformat(),
        DESCRIPTION,
        {name: table.schema for name, table in tables.items()},
        parquet,
    )
    (folder / "croissant.json").write_text(described, encoding="utf-8")
    text = card.render(
        card.Card(
            manifest=_manifest(draft, parquet, warnings, diff),
            tables={"questions": contents.questions, **tables},
            baselines=draft.baselines,
            overlaps=draft.overlaps,
            diff=diff,
            plots=names,
            config=config,
            contents=contents,
            inspection=draft.source.inspection,
        )
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    manifest = _manifest(draft, list_files(folder), warnings, diff)
    said = digest_of(manifest.model_dump(mode="json", exclude={"manifest_digest"}))
    write_json(folder / MANIFEST, manifest.model_copy(update={"manifest_digest": said}))


def _manifest(
    draft: _Draft, files: tuple[FileEntry, ...], warnings: tuple[str, ...], diff: ReleaseDiff
) -> ReleaseManifest:
    source, previous = draft.source, draft.previous
    tables = draft.contents.tables
    return ReleaseManifest(
        name=draft.config.name,
        version=draft.version,
        semver=semver.text(diff, previous, draft.config.licence),
        published_at=draft.now,
        content_digest=draft.digest,
        licence=draft.config.licence,
        questions=_counts(draft.tally),
        inspected_by={
            each["values"]: each["counts"]
            for each in sorted(
                pc.value_counts(draft.contents.questions["inspected_by"]).to_pylist(),
                key=lambda each: str(each["values"]),
            )
        },
        files=files,
        schemas={name: schema_digest(table.schema) for name, table in sorted(tables.items())},
        code_version=source.build.code_version,
        build=source.build,
        upstream=dict(sorted(source.upstream_digests.items())),
        reward_weights=draft.weights,
        system_prompts=_system_prompts(draft.contents),
        ledger=(*source.ledger_counts, _count(draft)),
        cost=source.cost,
        gates=count_gates(draft.offences, draft.config),
        warnings=warnings,
        previous=None
        if previous is None
        else PreviousRelease(
            version=previous.head.version,
            content_digest=previous.head.content_digest,
            manifest_sha256=previous.manifest_sha256,
        ),
    )


def _count(draft: _Draft) -> LedgerCount:
    """Return the ledger's row of the release itself."""
    return ledger_count(draft.contents.dropped, draft.tally.questions)


def _system_prompts(contents: Contents) -> SystemPrompts:
    """Return the texts for the tasks and box spaces that the questions have."""
    asked = contents.questions.select(["task", "box_space"]).group_by(["task", "box_space"])
    pairs = sorted((row["task"], row["box_space"]) for row in asked.aggregate([]).to_pylist())
    texts = {SystemPrompts.key(*pair): answer_prompt(*pair) for pair in pairs}
    return SystemPrompts(version=answer_prompt_version(), texts=texts)


def _counts(tally: Tally) -> dict[str, dict[str, int]]:
    """Return split -> task -> questions."""
    counts: dict[str, dict[str, int]] = {}
    for (split, task), count in sorted(tally.counts.items()):
        counts.setdefault(split, {})[task] = count
    return counts


def _warnings(draft: _Draft) -> tuple[str, ...]:
    """Return what a reader should know and no gate refuses."""
    constant, config = draft.baselines.constant("temporal"), draft.config
    left = sum(row.reason_code == NOT_BUILT for row in draft.source.absent)
    found = [f"{left} videos are not built up to date and have no question."] if left else []
    if not draft.tally.questions:
        return (*found, "There is no question in this version.")
    found += [
        f"Blind answer to {row.task} questions, {row.name}: {row.metric} {row.score:.3f} on test, "
        f"above {limit:g}; with {row.n_scored} test questions (fewer than "
        f"{config.min_baseline_questions}) that is too few to refuse."
        for row, limit, _ in over_limit(draft.baselines, config)
        if row.n_scored < config.min_baseline_questions
    ]
    if constant.score is None:
        found.append(
            "The blind time answer could not be scored: that takes temporal questions in train "
            f"({constant.n_searched}) and in test ({constant.n_scored})."
        )
    return tuple(found)
