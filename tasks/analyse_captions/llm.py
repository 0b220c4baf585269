"""The `openai` analyser: asks a language model about each caption, one request a caption.

Takes the captions of many videos; gives events and mentions of each, or why there are none. What
the request cache holds costs no call; what it misses is sent live, or with the Batch API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
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
    NotAnalysed,
    VideoCaptions,
)
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.batch import MAX_ROUNDS, Batches, Standing, has_open_batches
from earshot.tasks.llm.dialogue import Answered, Failed, Missing, walk
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.money import BudgetReachedError
from earshot.tasks.llm.reply import shorten
from earshot.tasks.llm.session import Session, open_session

Found = tuple[ReadEvent, ...]


class InBatchError(Exception):
    """The request is in a batch that is not over."""


Settled = Answered[Found] | Failed | ItemError | BudgetReachedError | InBatchError


@dataclass(frozen=True)
class Chat:
    """What is asked about one caption, and how its answer is read."""

    caption: Caption
    ask: Ask
    read: Callable[[str], Found]


_Left = tuple[VideoCaptions, list[Chat]]


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
        if isinstance(analysed.said, NotAnalysed):
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
        store = request_store(self.folder)
        left: list[_Left] = []
        for video in videos:
            chats = self.chats(video, categories)
            said = [walk(chat.ask, chat.read, store, video.attempt) for chat in chats]
            settled = [each for each in said if not isinstance(each, Missing)]
            if len(settled) == len(chats):
                yield _conclude(video, chats, settled)
            else:
                left.append((video, chats))
        if left:
            with open_session(self.llm, self.folder) as session:
                if self.llm.mode == "batch" or has_open_batches(self.folder):
                    settled, left = self._batched(session, left)
                    yield from settled
                yield from self._live(session, left)

    def chats(self, video: VideoCaptions, categories: Sequence[str]) -> list[Chat]:
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
            chats.append(Chat(caption, ask, read))
        return chats

    def _live(self, session: Session, left: Sequence[_Left]) -> Iterator[Analysed]:
        videos: dict[Future[list[Settled]], _Left] = {
            session.submit(_all(session, each[1], each[0].attempt)): each for each in left
        }
        for future in as_completed(videos):
            yield _conclude(*videos[future], future.result())

    def _batched(
        self, session: Session, left: Sequence[_Left]
    ) -> tuple[list[Analysed], list[_Left]]:
        """Return the videos that batches settle or hold up, and those that are to be asked live.

        In live mode batches that an earlier build sent are waited for all the same: their answers
        are paid.
        """
        batches = Batches(session, self.folder)
        missing = _missing(session, left)
        session.submit(batches.collect(missing)).result()
        missing = _missing(session, left)
        rounds = MAX_ROUNDS * max((video.attempt for video, _ in left), default=1)
        in_batches = self.llm.mode == "batch"
        standing = session.submit(batches.send(missing, rounds, may_create=in_batches)).result()
        settled, live = [], []
        for video, chats in left:
            said: list[Settled | None] = [
                _stands(walk(chat.ask, chat.read, session.store, video.attempt), standing)
                for chat in chats
            ]
            known = [each for each in said if each is not None]
            if in_batches or len(known) == len(said):
                settled.append(_conclude(video, chats, known))
            elif any(isinstance(each, InBatchError) for each in known):
                settled.append(_conclude(video, chats, [
                    each or InBatchError("asked when its batch is over") for each in said
                ]))  # fmt: skip
            else:
                live.append((video, chats))
        return settled, live


def _missing(session: Session, left: Sequence[_Left]) -> dict[str, Ask]:
    found = {}
    for video, chats in left:
        for chat in chats:
            said = walk(chat.ask, chat.read, session.store, video.attempt)
            if isinstance(said, Missing):
                found[said.key] = said.ask
    return found


def _stands(said: Answered[Found] | Failed | Missing, standing: Standing) -> Settled | None:
    """Return what became of a request, with batches; None: it is in none of them."""
    if not isinstance(said, Missing):
        return said
    if said.key in standing.waiting:
        return InBatchError(f"it is in batch {standing.waiting[said.key]}; build again later")
    if said.key in standing.unpaid:
        return BudgetReachedError(standing.unpaid[said.key])
    if said.key in standing.given_up:
        return ItemError("no_reply", standing.given_up[said.key])
    return None


def estimate_videos(
    videos: Sequence[VideoCaptions], categories: Sequence[str], llm: LlmConfig, folder: Path
) -> Estimate:
    """Return what the requests will cost that the cache does not answer."""
    store = request_store(folder)
    analyser = LlmAnalyser(llm, folder)
    asks: dict[str, Ask] = {}
    for video in videos:
        for chat in analyser.chats(video, categories):
            said = walk(chat.ask, chat.read, store, video.attempt)
            if isinstance(said, Missing) and not store.is_open(said.key):
                asks[said.key] = said.ask
    sent = sum(ask.text_bytes for ask in asks.values())
    return Estimator.of(store, asked.STEP, llm).estimate(llm, len(asks), sent)


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


async def _all(session: Session, chats: Sequence[Chat], attempt: int) -> list[Settled]:
    return list(await asyncio.gather(*(_one(session, chat, attempt) for chat in chats)))


async def _one(session: Session, chat: Chat, attempt: int) -> Settled:
    try:
        return await session.finish(chat.ask, chat.read, attempt)
    except (ItemError, BudgetReachedError) as error:
        return error


# From answers to rows


def _conclude(video: VideoCaptions, chats: Sequence[Chat], settled: Sequence[Settled]) -> Analysed:
    answered = [each for each in settled if isinstance(each, Answered | Failed)]
    tokens = sum(each.spent.tokens for each in answered)
    costs = [each.spent.cost_usd for each in answered]
    known = [cost for cost in costs if cost is not None]
    said = _not_analysed(chats, settled) or _analysis(video, chats, settled)
    return Analysed(
        video.video_id,
        said,
        tokens if answered else None,
        sum(known) if len(known) == len(costs) and costs else None,
    )


def _not_analysed(chats: Sequence[Chat], settled: Sequence[Settled]) -> NotAnalysed | None:
    faults: dict[str, tuple[str, str]] = {}
    value: str | None = None
    for chat, each in zip(chats, settled, strict=True):
        if isinstance(each, BudgetReachedError):
            return NotAnalysed("waiting", "budget", str(each))
        if isinstance(each, InBatchError):
            return NotAnalysed("waiting", "for_batch", str(each))
        if isinstance(each, ItemError):
            faults[chat.caption.caption_id] = (each.code, str(each))
        elif isinstance(each, Failed):
            message = f"{each.message}; the raw answer has the key {each.key} in requests/"
            faults[chat.caption.caption_id] = (each.code, message)
            value = value or shorten(each.raw)
    if not faults:
        return None
    caption_id, (code, message) = next(iter(faults.items()))
    return NotAnalysed("quarantined", code, f"{caption_id}: {message}", value, faults)


def _analysis(video: VideoCaptions, chats: Sequence[Chat], settled: Sequence[Settled]) -> Analysis:
    events: list[Event] = list(video.given_events)
    mentions: list[Mention] = []
    used = {each for event in events for each in event.caption_ids}
    for chat, each in zip(chats, settled, strict=True):
        assert isinstance(each, Answered)
        caption = chat.caption
        # The ordinal of an id is by start: the order of an answer must not change it.
        heads: dict[str, int] = {}
        for found in sorted(each.value, key=lambda one: one.segments):
            event = found.given or _event(caption, found, heads, each.key)
            if found.given is None:
                events.append(event)
                used.add(caption.caption_id)
            for thing in found.objects:
                mentions.append(_mention(event, caption, thing, len(mentions), each.key))
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
