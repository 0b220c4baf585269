"""Second opinions, known truths and questions on a real Label Studio, by several people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.server import Login, ServerFolder
from earshot.flows.people import collect_plainly, push_all, report_on
from earshot.schemas.inspection import ADJUDICATION, Inspection, Opinion
from earshot.schemas.question import Question
from earshot.schemas.request import BuildRequest
from earshot.store.workspace import Workspace
from earshot.tasks.build import run_build
from earshot.tasks.pipeline import open_session
from tests.annotation_ui.conftest import choice
from tests.annotation_ui.desks import Json, rows, somebody, submit, tasks_of

pytestmark = pytest.mark.labelstudio

OK = choice("verdict", "ok")
REJECT = (choice("verdict", "reject"), choice("reason", "no such sound"))


@pytest.fixture(scope="module")
def bea(server: tuple[ServerFolder, Login]) -> LabelStudio:
    """Another person on the server."""
    _, login = server
    return somebody(login, LabelStudio(login.url, login.token))


def configure(workspace: Workspace, **settings: object) -> None:
    """Set keys of [label_studio]; those that are not named are off."""
    told = {"second_share": 0, "question_share": 0, **settings}
    with workspace.config_file.open("a") as file:
        file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in told.items())


def pushed(workspace: Workspace) -> dict[str, Desk]:
    """Push; return the desk of each role."""
    return {desk.role: desk for desk, _ in push_all(workspace)}


def whole(desk: Desk) -> list[Json]:
    """All tasks of a project, with annotations and predictions."""
    return list(desk.client.changed_tasks(desk.project, None))


def test_two_people_get_different_tasks(workspace: Workspace, bea: LabelStudio) -> None:
    """Whoever pulls while another has a task open gets the next one."""
    configure(workspace)
    desk = pushed(workspace)["first"]
    path = f"/api/dm/actions/?id=next_task&project={desk.project}"
    mine, theirs = (who.post(path, {"project": desk.project}) for who in (desk.client, bea))
    assert mine["id"] != theirs["id"]
    again = [who.post(path, {"project": desk.project})["id"] for who in (desk.client, bea)]
    assert again == [mine["id"], theirs["id"]]


def test_a_difference_is_settled_by_a_third_person(workspace: Workspace, bea: LabelStudio) -> None:
    """Blind, each once; who agrees changes nothing; ok against reject waits for a third."""
    configure(workspace, second_share=1)
    desks = pushed(workspace)
    first, second = tasks_of(desks["first"]), tasks_of(desks["second"])
    assert first.keys() == second.keys()
    assert "third" not in desks
    differ, unsure, *others = sorted(first)
    for event_id, task in first.items():
        said = [choice("verdict", "unsure")] if event_id == unsure else [OK]
        submit(desks["first"], task, *said)
    assert collect_plainly(workspace).inspections == len(first)
    # Nothing of the first answers is to be seen in the second project.
    assert all(not task["annotations"] for task in whole(desks["second"]))
    for event_id, task in second.items():
        submit(desks["second"], task, *(REJECT if event_id == differ else (OK,)), by=bea)
    told = collect_plainly(workspace)
    assert (told.inspections, told.opinions, told.settled) == (0, len(first), 2)
    assert collect_plainly(workspace).settled == 0
    session = open_session(workspace)
    made = {e.event_id: e for e in rows(session, Inspection) if e.annotator == ADJUDICATION}
    assert made.keys() == {differ, unsure}
    assert (made[unsure].verdict, made[differ].verdict) == ("ok", "unsure")
    counts = {c.stage: c.by_status for c in session.counts if c.item_kind == "event"}
    assert counts["inspect"] == {"done": len(first) - 1, "rejected": 1}

    desks = pushed(workspace)
    (task,) = whole(desks["third"])
    assert task["data"]["event_id"] == differ
    assert "two people differ" in task["data"]["expected"]
    submit(desks["third"], task, OK)
    collect_plainly(workspace)
    session = open_session(workspace)
    last = max(
        (e for e in rows(session, Inspection) if e.event_id == differ), key=lambda row: row.at
    )
    assert (last.verdict, last.resolved_from) == ("ok", made[differ].resolved_from)
    counts = {c.stage: c.by_status for c in session.counts if c.item_kind == "event"}
    assert counts["inspect"] == {"done": len(first)}
    assert [told.sent for _, told in push_all(workspace)] == [0, 0, 0]

    told = report_on(workspace)
    assert (told.agreement.pairs, told.agreement.agreed) == (len(first), len(others))
    assert (told.agreement.settled, told.agreement.open) == (2, 0)
    assert told.agreement.tube_iou == told.agreement.span_tiou == 1
    assert told.done == len(first)


def test_what_one_could_not_tell_goes_to_another(workspace: Workspace) -> None:
    """Unsure: the next push gives it to somebody else, once, and their word counts."""
    configure(workspace)
    desks = pushed(workspace)
    event_id, task = next(iter(tasks_of(desks["first"]).items()))
    submit(desks["first"], task, choice("verdict", "unsure"))
    desks = pushed(workspace)
    (again,) = whole(desks["third"])
    assert again["data"]["event_id"] == event_id
    assert pushed(workspace)["third"].project == desks["third"].project
    assert len(whole(desks["third"])) == 1
    submit(desks["third"], again, OK)
    collect_plainly(workspace)
    found = [e for e in rows(open_session(workspace), Inspection) if e.event_id == event_id]
    people = sorted((e for e in found if e.inspected_by == "human"), key=lambda row: row.at)
    assert [e.verdict for e in people] == ["unsure", "ok"]
    assert people[1].resolved_from == people[0].inspection_id


def test_known_truths_are_asked_unseen(workspace: Workspace, bea: LabelStudio) -> None:
    """Among the others, decided by nobody's answer, and each annotator is held against them."""
    configure(workspace)
    desk = pushed(workspace)["first"]
    first = tasks_of(desk)
    known, *others = sorted(first)
    submit(desk, first[known], *REJECT)
    collect_plainly(workspace)
    configure_gold = f'gold = ["{known}"]\ngold_share = 0.3\n'
    workspace.config_file.write_text(workspace.config_file.read_text() + configure_gold)
    hidden = push_all(workspace)[0][1]
    assert hidden.sent == int(0.3 * len(first)) > 0
    assert push_all(workspace)[0][1].sent == 0
    golds = [t for t in whole(desk) if t["data"]["event_id"] == known and not t["annotations"]]
    assert len(golds) == hidden.sent
    for number, task in enumerate(golds):
        submit(desk, task, *((OK,) if number else REJECT), by=bea)
    for event_id in others:
        submit(desk, first[event_id], OK)
    told = collect_plainly(workspace)
    assert (told.inspections, told.opinions) == (len(others), len(golds))
    session = open_session(workspace)
    assert {e.kind for e in rows(session, Opinion)} == {"gold"}
    stands = [e for e in rows(session, Inspection) if e.event_id == known]
    assert [e.verdict for e in stands] == ["reject"]
    told = report_on(workspace)
    (work,) = [each for each in told.annotators if each.gold]
    assert (told.done, work.gold) == (len(first), 1)
    assert told.gold_accuracy == work.gold_accuracy == float(len(golds) == 1)


def test_rejected_questions_are_not_published(workspace: Workspace) -> None:
    """Question and answer beside the clip; what a person rejects is out, and the card counts it."""
    configure(workspace, question_share=1)
    desks = pushed(workspace)
    assert "question" not in desks
    for task in whole(desks["first"]):
        submit(desks["first"], task, OK)
    collect_plainly(workspace)
    run_build(BuildRequest(workspace=str(workspace.root)))
    asked = {e.question_id: e for e in rows(open_session(workspace), Question)}
    desk = pushed(workspace)["question"]
    tasks = whole(desk)
    assert {task["data"]["question_id"] for task in tasks} == asked.keys()
    assert all(task["data"]["question"] and task["data"]["answer"] for task in tasks)
    bad, *good = tasks
    submit(desk, bad, choice("verdict", "reject"), choice("reason", "question unclear"))
    for task in good:
        submit(desk, task, OK)
    told = collect_plainly(workspace)
    assert (told.questions, told.inspections) == (len(tasks), 0)
    assert [told.sent for _, told in push_all(workspace)] == [0, 0]
    result = run_build(BuildRequest(workspace=str(workspace.root)))
    assert result.publication is not None
    release = Path(result.publication.folder)
    text = (release / "README.md").read_text()
    assert "question unclear" in text
    assert (release / "plots" / "inspection.png").exists()
    manifest = json.loads((release / "manifest.json").read_text())
    n_published = sum(sum(tasks.values()) for tasks in manifest["questions"].values())
    assert n_published == len(asked) - 1
    assert report_on(workspace).questions.reasons == {"question unclear": 1}
