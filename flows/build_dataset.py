"""Flow `build-dataset`: everything, for configurations in which nobody has to be waited for."""

from __future__ import annotations

from prefect import flow

from earshot.flows.annotate_videos import annotate_videos
from earshot.flows.collect_inspections import collect_inspections
from earshot.flows.noted import noted
from earshot.flows.publish_release import publish_release
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import Report
from earshot.tasks.pipeline import ANNOTATE, COLLECT


@flow(name="build-dataset")
def build_dataset(request: BuildRequest) -> Report:
    """Annotate, collect, publish: the chain with `inspect.backend = "automatic"`."""
    with noted(request) as run:
        if run.stages(ANNOTATE):
            annotate_videos(run.request)
        if run.stages(COLLECT):
            collect_inspections(run.request)
        return publish_release(run.request)
