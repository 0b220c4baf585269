"""What people do, between the tables and Label Studio: push what waits, collect what was decided.

Takes a workspace; imports no Prefect, so that the command line and the flow do the same.
"""

from __future__ import annotations

from earshot.annotation_ui.collect import Collected, collect, done_with, videos_to_do
from earshot.annotation_ui.desk import Desk, open_desk
from earshot.annotation_ui.push import INSPECT, Progress, Pushed, push
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.report import InspectionReport, report
from earshot.schemas.arrow import from_table
from earshot.schemas.config import LabelStudioConfig
from earshot.schemas.ids import video_of
from earshot.schemas.inspection import Inspection
from earshot.schemas.request import BuildRequest
from earshot.schemas.tube import RevisedTube, ShownTube
from earshot.store.config_file import load_config
from earshot.store.lease import lease
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import COLLECT, Session, open_run, open_session, run_plain


def config_of(session: Session) -> LabelStudioConfig:
    """Return where people inspect: by the workspace's config.toml, else by the build."""
    file = session.workspace.config_file
    return load_config(file).label_studio if file.exists() else session.build.config.label_studio


def has_desk(session: Session) -> bool:
    """Whether people inspect this workspace in Label Studio."""
    known = session.workspace.label_studio / "project.json"
    return known.exists() or bool(config_of(session).url)


def desk_of(session: Session, *, make: bool = True) -> Desk:
    """Return the desk of a workspace; see `open_desk`."""
    return open_desk(session.workspace, config_of(session), make=make)


def push_events(workspace: Workspace, progress: Progress | None = None) -> tuple[Desk, Pushed]:
    """Send every event that waits for people; first takes in what they decided meanwhile.

    Raises:
        EarshotError: as `open_session`, `open_desk`, `collect` and `push` say.
    """
    session = open_session(workspace)
    desk = desk_of(session)
    collect(session.snapshot, desk)
    session.snapshot.refresh()
    with lease(workspace, INSPECT, (), session.build.build_id):  # nothing is compacted meanwhile
        return desk, push(session.snapshot, desk, progress)


def collect_decisions(workspace: Workspace) -> tuple[Collected, BuildRequest | None]:
    """Commit what people decided; return what is left to do with it, None where nothing is.

    Raises:
        EarshotError: as `open_session`, `open_desk` and `collect` say.
    """
    session = open_session(workspace)
    told = collect(session.snapshot, desk_of(session, make=False))
    videos = sorted(videos_to_do(workspace) & session.snapshot.entries.keys())
    if not videos:
        return told, None
    request = BuildRequest(
        workspace=str(workspace.root),
        only=INSPECT,
        force=(INSPECT,),
        items=tuple(videos),
        publish=False,
    )
    return told, request


def collected(workspace: Workspace, request: BuildRequest) -> None:
    """Note that the build has taken in the decisions that a request was about."""
    done_with(workspace, set(request.items))


def report_on(workspace: Workspace) -> InspectionReport:
    """Return what people's work on the workspace's latest build came to."""
    snapshot = open_session(workspace).snapshot
    pushed = PushedTasks(workspace.label_studio / "pushed").uids().values()
    here = [event_id for event_id in pushed if video_of(event_id) in snapshot.entries]

    def read() -> InspectionReport:
        known = [
            *(each.tube() for each in from_table(ShownTube, snapshot.table(ShownTube))),
            *from_table(RevisedTube, snapshot.table(RevisedTube)),
        ]
        inspections = from_table(Inspection, snapshot.table(Inspection))
        return report(here, inspections, {tube.digest: tube for tube in known})

    return snapshot.steady(read)


def collect_plainly(workspace: Workspace) -> Collected:
    """Commit what people decided and take it into the build, in a plain loop."""
    told, request = collect_decisions(workspace)
    if request is not None:
        run = open_run(request)
        run_plain(run, COLLECT)
        run.finish()
        collected(workspace, request)
    return told
