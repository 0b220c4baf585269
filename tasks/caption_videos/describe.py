"""Asks a model to describe videos: decodes what is to be sent, settles the requests, makes rows.

Takes the input of the stage `caption`; gives outcomes. Decoding runs in a killable child, and only
for videos that the request cache does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from earshot.errors import ConfigError, ItemError
from earshot.media.child import Worker
from earshot.media.fetch import local_file
from earshot.media.frames import ChildSource, SourceInfo
from earshot.media.stills import jpeg_url, wav_base64
from earshot.schemas.config import CaptionsConfig
from earshot.schemas.generated_caption import GeneratedCaption
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.requests import request_store
from earshot.store.stage import (
    Done,
    Estimate,
    Outcome,
    Quarantined,
    StageContext,
    StageInput,
    Waiting,
)
from earshot.tasks.caption_videos import asked
from earshot.tasks.caption_videos.asked import Shown, WrittenCaption
from earshot.tasks.llm.dialogue import Missing, walk
from earshot.tasks.llm.rounds import Chat, Group, Settled, estimate, settle

Written = tuple[WrittenCaption, ...]


def describe(
    batch: Sequence[StageInput], config: CaptionsConfig, context: StageContext
) -> Iterator[Outcome]:
    """Yield what became of each video.

    Raises:
        EndpointError: if the endpoint refuses every request.
    """
    groups = []
    with Worker(context.limit_s) as worker:
        for given in batch:
            try:
                groups.append(_group(given, config, context, worker))
            except ItemError as fault:
                yield Quarantined.by(fault, given.video_id)
    for settled in settle(groups, context.llm, _requests(context)):
        yield _outcome(settled)


def estimate_videos(
    batch: Sequence[StageInput], config: CaptionsConfig, context: StageContext
) -> Estimate:
    """Return what the requests will cost that the cache does not answer; decodes nothing."""
    groups = [
        Group(given.video_id, (_chat(given, config, context, Shown()),), given.attempt)
        for given in batch
    ]
    return estimate(groups, asked.STEP, context.llm, _requests(context))


def _requests(context: StageContext) -> Path:
    if context.requests is None:
        raise ConfigError("captions.generate is openai: expected a workspace for its answers")
    return context.requests


def _group(
    given: StageInput, config: CaptionsConfig, context: StageContext, worker: Worker
) -> Group[Written]:
    chat = _chat(given, config, context, Shown())
    store = request_store(_requests(context))
    if isinstance(walk(chat.ask, chat.read, store.get, given.attempt), Missing):
        chat = _chat(given, config, context, _shown(given, config, context, worker))
    return Group(given.video_id, (chat,), given.attempt)


def _chat(
    given: StageInput, config: CaptionsConfig, context: StageContext, shown: Shown
) -> Chat[Written]:
    video, entry = given.one(Video), given.one(ManifestEntry)
    ask = asked.ask_about(video, entry.events, config, context.llm, shown)

    def read(text: str) -> Written:
        return asked.read_captions(text, video.duration_s)

    return Chat(given.video_id, ask, read)


def _shown(
    given: StageInput, config: CaptionsConfig, context: StageContext, worker: Worker
) -> Shown:
    video = given.one(Video)
    info = SourceInfo(video.duration_s, video.fps, video.width, video.height)
    times = tuple(dict.fromkeys(asked.frame_times(video.duration_s, config)))
    wants_sound = config.generate_audio and video.has_audio
    place = video.uri, context.input_base, context.cache
    with local_file(*place, sha256=video.sha256, fetch=context.fetch) as path:
        source = ChildSource(worker, path, info, config.generate_px)
        frames = {time_s: jpeg_url(frame) for time_s, frame in source.frames(times)}
        return Shown(frames, worker.call(wav_base64, path) if wants_sound else None)


def _outcome(settled: Settled[Written]) -> Outcome:
    video_id, trouble = settled.group.video_id, settled.trouble
    if trouble is not None:
        kind = Waiting if trouble.status == "waiting" else Quarantined
        return kind(
            video_id, reason_code=trouble.code, message=trouble.message, value=trouble.value,
            tokens=settled.tokens, cost_usd=settled.cost_usd,
        )  # fmt: skip
    (answer,) = settled.answers
    rows = tuple(
        GeneratedCaption(
            caption_id=f"{video_id}/g{number}",
            video_id=video_id,
            start_s=each.start_s,
            end_s=each.end_s,
            text=each.text,
            caption_source="generated",
            prompt_digest=asked.prompt().digest,
            answer_key=answer.key,
        )
        for number, each in enumerate(answer.value)
    )
    return Done(
        video_id, rows=rows, tokens=settled.tokens, cost_usd=settled.cost_usd,
        reason_code=None if rows else "empty",
        message=None if rows else "the model says that nothing can be made out",
    )  # fmt: skip
