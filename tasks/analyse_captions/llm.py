"""The `openai` analyser: asks a language model about each caption, one request a caption.

Takes the captions of many videos; gives events and mentions of each, or why there are none. What
the request cache holds costs no call; what it misses is sent live, or with the Batch API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from earshot.errors import ItemError
from earshot.schemas import ids
from earshot.schemas.base import to_intervals
from earshot.schemas.caption import Caption
from earshot.schemas.config import LlmConfig
from earshot.schemas.event import Event
from earshot.schemas.mention import Mention
from earshot.store.requests import request_store
from earshot.store.stage import Estimate
from earshot.tasks.analyse_captions import asked
from earshot.tasks.analyse_captions.answer import ReadEvent, ReadObject, read_answer
from earshot.tasks.analyse_captions.protocol import (
    Analysed,
    Analysis,
    VideoCaptions,
)
from earshot.tasks.llm.dialogue import Answered
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.rounds import Chat, Group, Settled, estimate, settle
from earshot.tasks.llm.trouble import Trouble

Found = tuple[ReadEvent, ...]


@dataclass(frozen=True)
class LlmAnalyser:
    """Analyses captions by a language model; see `earshot.tasks.analyse_captions.protocol`.

    Args:
        llm: which model, and how it is reached.
        folder: of the request cache.
    """

    llm: LlmConfig
    folder: Path
    name: str = "openai"

    @property
    def version(self) -> str:
        """Reader, prompt and model."""
        return f"{asked.VERSION}-prompt-{asked.prompt().version}-{self.llm.model}"

    def analyse(
        self, captions: Sequence[Caption], given_events: Sequence[Event], categories: Sequence[str]
    ) -> Analysis:
        """Return what the captions of one video say.

        Raises:
            ItemError: if a caption has no answer that can be used.
            EndpointError: as `analyse_all`.
        """
        video_id = captions[0].video_id if captions else ""
        video = VideoCaptions(video_id, tuple(captions), tuple(given_events))
        (analysed,) = self.analyse_all([video], categories)
        if isinstance(analysed.said, Trouble):
            raise ItemError(analysed.said.code, analysed.said.message, analysed.said.value)
        return analysed.said

    def analyse_all(
        self, videos: Sequence[VideoCaptions], categories: Sequence[str]
    ) -> Iterator[Analysed]:
        """Yield what became of each video: those that the cache answers first.

        Raises:
            EndpointError: if the endpoint refuses every request.
            WorkspaceError: when the disk fails.
        """
        groups = [self.group(video, categories) for video in videos]
        given = {video.video_id: video for video in videos}
        for settled in settle(groups, self.llm, self.folder):
            yield _analysed(given[settled.group.video_id], settled)

    def group(self, video: VideoCaptions, categories: Sequence[str]) -> Group[Found]:
        """Return what is asked about a video: nothing of captions that speak of no given event."""
        chats = []
        for caption in video.captions:
            given = asked.events_of(caption, video.given_events)
            if video.given_events and not given:
                continue

            def read(
                text: str, caption: Caption = caption, given: Sequence[Event] = given
            ) -> Found:
                return read_answer(text, caption, given, categories)

            ask = asked.ask_about(caption, given, categories, self.llm)
            chats.append(Chat(caption.caption_id, ask, read))
        return Group(video.video_id, tuple(chats), video.attempt)


def estimate_videos(
    videos: Sequence[VideoCaptions], categories: Sequence[str], llm: LlmConfig, folder: Path
) -> Estimate:
    """Return what the requests will cost that the cache does not answer."""
    analyser = LlmAnalyser(llm, folder)
    groups = [analyser.group(video, categories) for video in videos]
    return estimate(groups, asked.STEP, llm, folder)


def estimate_texts(
    texts: Sequence[str], categories: Sequence[str], llm: LlmConfig, folder: Path
) -> Estimate:
    """Return at most what captions with these texts will cost, whatever the cache holds."""
    caption = Caption(
        caption_id="video/c0", video_id="video", start_s=10.5, end_s=19.5, text=".",
        caption_source="given",
    )  # fmt: skip
    around = asked.ask_about(caption, (), categories, llm).text_bytes
    sent = sum(around + len(text.encode()) for text in texts)
    return Estimator.of(request_store(folder), asked.STEP, llm).estimate(llm, len(texts), sent)


# From answers to rows


def _analysed(video: VideoCaptions, settled: Settled[Found]) -> Analysed:
    said = settled.trouble or _analysis(video, settled.group, settled.answers)
    return Analysed(video.video_id, said, settled.tokens, settled.cost_usd)


def _analysis(
    video: VideoCaptions, group: Group[Found], answers: Sequence[Answered[Found]]
) -> Analysis:
    events: list[Event] = list(video.given_events)
    mentions: list[Mention] = []
    used = {each for event in events for each in event.caption_ids}
    captions = {caption.caption_id: caption for caption in video.captions}
    for chat, answer in zip(group.chats, answers, strict=True):
        caption = captions[chat.about]
        # The ordinal of an id is by start: the order of an answer must not change it.
        heads: dict[str, int] = {}
        for found in sorted(answer.value, key=lambda one: one.segments):
            event = found.given or _event(caption, found, heads, answer.key)
            if found.given is None:
                events.append(event)
                used.add(caption.caption_id)
            for thing in found.objects:
                mentions.append(_mention(event, caption, thing, len(mentions), answer.key))
                used.add(caption.caption_id)
    events = events if video.given_events else sorted(events, key=lambda e: e.segments[0].pair)
    empty = tuple(c.caption_id for c in video.captions if c.caption_id not in used)
    return Analysis(tuple(events), tuple(mentions), empty)


def _event(caption: Caption, found: ReadEvent, heads: dict[str, int], key: str) -> Event:
    first = next((thing.name for thing in found.objects if thing.sounding), "sound")
    head = found.label or first
    ordinal = heads.get(head, 0)
    heads[head] = ordinal + 1
    return Event(
        event_id=ids.event_id(caption.video_id, [caption.caption_id], head, ordinal),
        video_id=caption.video_id,
        label=found.label,
        description=caption.text,
        segments=to_intervals(found.segments),
        time_source="caption",
        caption_ids=(caption.caption_id,),
        prompt_digest=asked.prompt().digest,
        answer_key=key,
    )


def _mention(event: Event, caption: Caption, thing: ReadObject, number: int, key: str) -> Mention:
    # Words that the caption does not have get a place behind its end, where no words are:
    # key-object extraction rejects them there as `not_in_caption`, and the ledger says so.
    beyond = len(caption.text) + 1 + number
    start, end = thing.span or (beyond, beyond + len(thing.evidence))
    return Mention(
        mention_id=ids.mention_id(event.event_id, caption.caption_id, start, end),
        video_id=event.video_id,
        event_id=event.event_id,
        caption_id=caption.caption_id,
        surface=caption.text[start:end] if thing.span else thing.evidence,
        char_start=start,
        char_end=end,
        head=thing.name.rsplit(" ", 1)[-1],
        name=thing.name,
        count=thing.count,
        is_group=thing.is_group,
        audibility=thing.audibility,
        sounding=to_intervals(thing.sounding),
        confidence=thing.confidence,
        prompt_digest=asked.prompt().digest,
        answer_key=key,
    )
