"""A stage whose prompt or records change has to change its version (DESIGN 3).

`tests/fixtures/stage_versions.json` holds, for each stage, its version and what came with it. After
a change: raise the stage's `version`, then `python -m tests.tasks.test_stage_versions` and commit
the file. That command refuses to write a change that has no new version.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from earshot.schemas.arrow import table_schema
from earshot.schemas.config import AnalyseConfig, Config
from earshot.store.stage import Stage, StageContext
from earshot.tasks.analyse_captions.stage import AnalyseCaptions
from earshot.tasks.pipeline import STAGES
from earshot.tasks.publish_release.source import schema_digest

FIXTURE = Path(__file__).parents[1] / "fixtures" / "stage_versions.json"
REGENERATE = "python -m tests.tasks.test_stage_versions"

Facts = dict[str, str | None]


def facts(stage: Stage[Any]) -> Facts:
    """Return a stage's version and the digests of all that the version speaks for."""
    found: Facts = {"version": stage.version}
    for kind in stage.writes:
        found[f"table {kind.TABLE}"] = schema_digest(table_schema(kind))
    digests = stage.digests()
    return {**found, "prompt": digests.prompt, "model": digests.model}


def current(folder: Path) -> dict[str, Facts]:
    """Return the facts of every stage of the pipeline under the default configuration."""
    context = StageContext(input_base=str(folder), cache=folder)
    stages = [stage(getattr(Config(), stage.section), context) for stage in STAGES]
    return {stage.name: facts(stage) for stage in stages}


def recorded() -> dict[str, Facts]:
    """Return what the committed file says."""
    content: dict[str, Facts] = json.loads(FIXTURE.read_text())
    return content


def unversioned(before: Facts, now: Facts) -> list[str]:
    """Return what changed although the version did not."""
    if before.get("version") != now["version"]:
        return []
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_changed_stage_has_a_new_version(stage: type[Stage[Any]], tmp_path: Path) -> None:
    """Rows made by another prompt or of another schema are stale only if the version says so."""
    before, now = recorded().get(stage.name), current(tmp_path)[stage.name]
    assert before is not None, f"stage {stage.name!r} is new: run `{REGENERATE}` and commit"
    changed = unversioned(before, now)
    assert not changed, (
        f"stage {stage.name!r}: {', '.join(changed)} changed, the version is still "
        f"{stage.version!r}. Rows of old workspaces would count as fresh: raise "
        f"{stage.__name__}.version, then run `{REGENERATE}` and commit {FIXTURE.name}."
    )
    assert before == now, (
        f"stage {stage.name!r} has a new version {stage.version!r} that {FIXTURE.name} does not "
        f"know: run `{REGENERATE}` and commit the file."
    )


def test_the_record_names_exactly_the_stages_of_the_pipeline() -> None:
    """A stage that was removed or renamed leaves no line behind; the order is the pipeline's."""
    assert list(recorded()) == [stage.name for stage in STAGES], f"run `{REGENERATE}`"


def test_versions_are_written_in_the_code() -> None:
    """A version is an explicit string of the stage's own class, not inherited and not computed."""
    for stage in STAGES:
        assert isinstance(vars(stage).get("version"), str), f"give {stage.__name__} a version"


@pytest.mark.parametrize("name", ["prompt", "table events"])
def test_a_change_without_a_new_version_is_found(name: str) -> None:
    """The comparison behind this guard sees a changed, an added and a removed digest."""
    before: Facts = {"version": "1", "prompt": "a", "table events": "b"}
    assert unversioned(before, dict(before)) == []
    assert unversioned(before, {**before, name: "c"}) == [name]
    assert unversioned(before, {k: v for k, v in before.items() if k != name}) == [name]
    assert unversioned(before, {**before, name: "c", "version": "2"}) == []


def test_a_change_of_what_a_model_is_asked_is_in_the_key(tmp_path: Path) -> None:
    """Under the openai backend the prompt digest speaks of prompt, answer form and reader."""
    context = StageContext(input_base=str(tmp_path), cache=tmp_path)
    rules = AnalyseCaptions(AnalyseConfig(), context).digests()
    asked = AnalyseCaptions(AnalyseConfig(backend="openai"), context).digests()
    assert asked.prompt != rules.prompt
    assert asked.model == "gpt-4o-mini temperature=0 max=1500"


def regenerate() -> int:
    """Write the file anew, unless something changed under an old version."""
    with tempfile.TemporaryDirectory() as folder:
        now = current(Path(folder))
    before = recorded() if FIXTURE.exists() else {}
    wrong = {name: unversioned(before.get(name, {}), facts) for name, facts in now.items()}
    for name, changed in wrong.items():
        if changed:
            print(f"{name}: {', '.join(changed)} changed; raise the stage's version first")
    if any(wrong.values()):
        return 1
    FIXTURE.write_text(json.dumps(now, indent=1) + "\n")
    print(f"{FIXTURE}: {len(now)} stages")
    return 0


if __name__ == "__main__":
    sys.exit(regenerate())
