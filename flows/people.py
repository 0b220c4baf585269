"""What people do, between the tables and Label Studio: push what waits, collect what was decided.

Takes a workspace; imports no Prefect, so that the command line and the flow do the same.
"""

from __future__ import annotations

from pathlib import Path

from earshot.annotation_ui.collect import Collected, collect, done_with, videos_to_do
from earshot.annotation_ui.desk import Desk, Role, open_desk, roles_of
from earshot.annotation_ui.labeling import labeling_config
from earshot.annotation_ui.push import INSPECT, Progress, Pushed, has_open, push
from earshot.annotation_ui.push_questions import push_questions, sample
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.sdk_check import task_check
from earshot.errors import ServerError
from earshot.schemas.config import LabelStudioConfig
from earshot.schemas.ids import video_of
from earshot.schemas.inspection_report import InspectionReport
from earshot.schemas.request import BuildRequest
from earshot.store.config_file import load_config
from earshot.store.inspection_report import people_work, report
from earshot.store.lease import lease
from earshot.store.workspace import Workspace, disk_fault
from earshot.tasks.pipeline import COLLECT, Session, open_run, open_session, run_plain


def config_of(session: Session) -> LabelStudioConfig:
    """Return where people inspect: by the workspace's config.toml, else by the build."""
    file = session.workspace.config_file
    return load_config(file).label_studio if file.exists() else session.build.config.label_studio


def has_desk(session: Session) -> bool:
    """Whether people inspect this workspace in Label Studio."""
    return bool(roles_of(session.workspace)) or bool(config_of(session).url)


def desk_of(session: Session, role: Role = "first", *, make: bool = True) -> Desk:
    """Return a desk of a workspace; see `open_desk`."""
    return open_desk(session.workspace, config_of(session), role, make=make)


def push_all(
    workspace: Workspace, progress: Progress | None = None, *, check: bool = False
) -> list[tuple[Desk, Pushed]]:
    """Send all that waits for people, to the project of each role that has something to do.

    Args:
        workspace: whose.
        progress: told how many of how many events are sent.
        check: hold each event's task against Label Studio's own rules first (extra `inspect`).

    Raises:
        EarshotError: as `open_session`, `open_desk`, `collect`, `push` and `task_check` say.
    """
    rules = task_check(labeling_config()) if check else None
    session = open_session(workspace)
    config, known = config_of(session), roles_of(workspace)
    roles: tuple[Role, ...] = ("first", *known)
    desks = {role: desk_of(session, role) for role in roles}
    for desk in desks.values():
        collect(session.snapshot, desk)
    session.snapshot.refresh()

    def desk_for(role: Role) -> Desk:
        if role not in desks:
            desks[role] = desk_of(session, role)
        return desks[role]

    with lease(workspace, INSPECT, (), session.build.build_id):  # nothing is compacted meanwhile
        told = [(desks["first"], push(session.snapshot, desks["first"], progress, rules))]
        if "second" in known or config.second_share:
            desk = desk_for("second")
            told.append((desk, push(session.snapshot, desk, None, rules)))
        if "third" in known or has_open(session.snapshot):
            desk = desk_for("third")
            told.append((desk, push(session.snapshot, desk, None, rules)))
        if "question" in known or sample(session.snapshot, config.question_share):
            desk = desk_for("question")
            told.append((desk, push_questions(session.snapshot, desk)))
    return told


def collect_decisions(workspace: Workspace) -> tuple[Collected, BuildRequest | None]:
    """Commit what people decided; return what is left to do with it, None where nothing is.

    Raises:
        EarshotError: as `open_session`, `open_desk` and `collect` say; where one project fails,
            the others are collected before.
    """
    session = open_session(workspace)
    told, failed = Collected(), None
    roles: list[Role] = roles_of(workspace) or ["first"]
    for role in roles:
        try:
            told.add(collect(session.snapshot, desk_of(session, role, make=False)))
        except ServerError as error:
            failed = failed or error
    if failed:
        raise failed
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
    session = open_session(workspace)
    snapshot = session.snapshot
    pushed = PushedTasks(workspace.label_studio / "pushed").uids().values()
    here = [event_id for event_id in pushed if video_of(event_id) in snapshot.entries]
    min_iou = config_of(session).agree_iou
    return snapshot.steady(lambda: report(here, people_work(snapshot, min_iou)))


def draw_report(told: InspectionReport, path: Path) -> None:
    """Write a picture of a report as PNG.

    Raises:
        WorkspaceError: when the file can't be written.
    """
    # matplotlib takes a second to import: only who wants a picture pays it.
    from earshot.tasks.draw_inspection import draw_inspection

    try:
        draw_inspection(told, path)
    except OSError as error:
        raise disk_fault(path, error) from error


def collect_plainly(workspace: Workspace) -> Collected:
    """Commit what people decided and take it into the build, in a plain loop."""
    told, request = collect_decisions(workspace)
    if request is not None:
        run = open_run(request)
        run_plain(run, COLLECT)
        run.finish()
        collected(workspace, request)
    return told
