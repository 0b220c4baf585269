"""Gives people a sample of the current questions, each with its answer beside the whole video.

Takes a snapshot and a desk of role `question`. Sending again sends only what is new; questions that
are no longer asked so go if nobody has answered them.
"""

from __future__ import annotations

from collections.abc import Sequence

from earshot.annotation_ui.client import Json
from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.media_root import clip_of, media_of, put_clip
from earshot.annotation_ui.push import AT_ONCE, LEASE, Pushed, is_drawn
from earshot.annotation_ui.questions import question_task, question_uid
from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.review_clip import plan_clip
from earshot.schemas.arrow import from_table
from earshot.schemas.inspection import QuestionInspection
from earshot.schemas.question import Question
from earshot.schemas.video import Video
from earshot.store.inspection_report import latest_of_questions
from earshot.store.lease import lease
from earshot.store.snapshot import Snapshot


def sample(snapshot: Snapshot, share: float) -> list[Question]:
    """Return the current questions that are in the sample."""
    questions = from_table(Question, snapshot.table(Question))
    return [each for each in questions if is_drawn(each.question_id, share)]


def push_questions(snapshot: Snapshot, desk: Desk) -> Pushed:
    """Send the questions of the sample that nobody has judged.

    Raises:
        ServerError: if the server fails; what it has taken in stays, and is not sent again.
        WorkspaceError: when the disk fails.
    """
    with lease(desk.workspace, LEASE, ()):
        told = Pushed()
        drawn = sample(snapshot, desk.config.question_share)
        judged = latest_of_questions(
            from_table(QuestionInspection, snapshot.table(QuestionInspection))
        )
        waiting = [each for each in drawn if (each.question_id, each.digest) not in judged]
        told.answered = len(drawn) - len(waiting)
        new = _unsent(desk, waiting, told)
        for at in range(0, len(new), AT_ONCE):
            if tasks := _tasks(snapshot, desk, new[at : at + AT_ONCE], told):
                desk.client.import_tasks(desk.project, tasks)
                told.sent += len(tasks)
        return told


def _unsent(desk: Desk, waiting: Sequence[Question], told: Pushed) -> list[Question]:
    """Return what the server does not have; tasks about what is no longer asked so go."""
    wanted = {question_uid(each): each for each in waiting}
    for task in desk.client.all_tasks(desk.project):
        if task["data"]["uid"] in wanted:
            del wanted[task["data"]["uid"]]
            told.there += 1
        elif not task["total_annotations"] and not task["drafts"]:
            desk.client.delete_task(int(task["id"]))
            told.superseded += 1
    return sorted(wanted.values(), key=lambda each: (each.inspected_by, each.question_id))


def _tasks(
    snapshot: Snapshot, desk: Desk, questions: Sequence[Question], told: Pushed
) -> list[Json]:
    videos = sorted({each.video_id for each in questions})
    by_id = {each.video_id: each for each in from_table(Video, snapshot.table(Video, videos))}
    give, tasks = media_of(snapshot), []
    with Worker(snapshot.build.config.run.limit_s) as worker:
        for each in questions:
            video = by_id[each.video_id]
            size = (video.width, video.height)
            plan = plan_clip(video.duration_s, video.fps, size, (0.0, video.duration_s), 0.0)
            clip = clip_of(video, plan)
            try:
                put_clip(clip, video, plan, desk, give, worker)
            except ItemError as error:
                told.faults.append((each.question_id, str(error)))
                continue
            clock = Clock(plan.offset_s, float(plan.fps), plan.n_frames)
            tasks.append(question_task(each, video, clip, clock))
    return tasks
