"""Stage `analyse`: captions and given events to events and mentions, by the configured backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from earshot.errors import ConfigError
from earshot.schemas.caption import Caption
from earshot.schemas.config import AnalyseConfig
from earshot.schemas.event import Event, GivenEvent
from earshot.schemas.ledger import ItemKind
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.mention import Mention
from earshot.store.stage import (
    Digests,
    Done,
    Estimate,
    Item,
    Outcome,
    Quarantined,
    Reads,
    Stage,
    StageInput,
    Waiting,
)
from earshot.tasks.analyse_captions.lexicon import lexicon_digest
from earshot.tasks.analyse_captions.protocol import (
    Analysed,
    Analyser,
    Analysis,
    VideoCaptions,
)
from earshot.tasks.analyse_captions.rules import VERSION, RulesAnalyser
from earshot.tasks.analyse_captions.vocabulary import model_version
from earshot.tasks.llm.trouble import Trouble


class AnalyseCaptions(Stage[AnalyseConfig]):
    """Finds in each caption what is named, what of it is heard, and in which event."""

    name = "analyse"
    version = f"rules-{VERSION}"
    section = "analyse"
    reads = (
        Reads(Caption, ("video_id", "start_s", "end_s", "text", "caption_source")),
        Reads(GivenEvent, ("digest",)),
    )
    writes = (Event, Mention)
    item_kind: ClassVar[ItemKind | None] = "caption"

    @property
    def is_remote(self) -> bool:
        """A model is waited for here: its client has limits of its own, shared by all batches."""
        return self.config.backend == "openai"

    def digests(self) -> Digests:
        """What decides what is found: lexicon and vocabulary, or the prompt and the model."""
        if self.is_remote:
            from earshot.tasks.analyse_captions import asked
            from earshot.tasks.llm.ask import model_key

            return Digests(prompt=asked.key_digest(), model=model_key(self.context.llm))
        return Digests(prompt=lexicon_digest(), model=model_version())

    def ready(self) -> None:
        """Raise EndpointError where the key is not set."""
        if self.is_remote:
            from earshot.tasks.llm.endpoint import read_key

            read_key(self.context.llm)

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Every caption has to be accounted for."""
        return tuple(caption.caption_id for caption in given.all(Caption))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield events and mentions of each video; captions with nothing in them are `empty`."""
        videos = {given.video_id: _captions(given) for given in batch}
        for analysed in self._analyser.analyse_all(list(videos.values()), self.config.categories):
            yield _outcome(videos[analysed.video_id], analysed)

    def estimate(self, batch: Sequence[StageInput]) -> Estimate:
        """Calls, tokens and money for what the request cache does not answer."""
        if not self.is_remote or self.context.requests is None:
            return Estimate()
        from earshot.tasks.analyse_captions.llm import estimate_videos

        videos = [_captions(given) for given in batch]
        return estimate_videos(
            videos, self.config.categories, self.context.llm, self.context.requests
        )

    def estimate_unseen(self, entries: Sequence[ManifestEntry]) -> Estimate:
        """At most one call for each caption and each event's own words."""
        if not self.is_remote or self.context.requests is None:
            return Estimate()
        from earshot.tasks.analyse_captions.llm import estimate_texts

        texts = [caption.text for entry in entries for caption in entry.captions]
        texts += [e.description or e.label or "" for entry in entries for e in entry.events]
        return estimate_texts(
            texts, self.config.categories, self.context.llm, self.context.requests
        )

    @cached_property
    def _analyser(self) -> Analyser:
        if not self.is_remote:
            return RulesAnalyser()
        # The client takes a second to import: only who asks a model pays for it.
        from earshot.tasks.analyse_captions.llm import LlmAnalyser

        if self.context.requests is None:
            raise ConfigError("analyse.backend is openai: expected a workspace for its answers")
        return LlmAnalyser(self.context.llm, self.context.requests)


def _captions(given: StageInput) -> VideoCaptions:
    # In manifest order, which ids carry as a number: c10 comes behind c9.
    captions = tuple(sorted(given.all(Caption), key=_position))
    events = tuple(Event.model_validate(e.model_dump()) for e in given.all(GivenEvent))
    return VideoCaptions(given.video_id, captions, events, given.attempt)


def _position(caption: Caption) -> int:
    return int(caption.caption_id.rpartition("/c")[2])


def _outcome(video: VideoCaptions, analysed: Analysed) -> Outcome:
    said = analysed.said
    if isinstance(said, Trouble):
        return _not_analysed(video, said, analysed)
    return _done(video, said, analysed)


def _done(video: VideoCaptions, said: Analysis, analysed: Analysed) -> Done:
    empty = set(said.empty_caption_ids)
    return Done(
        video.video_id,
        rows=(*said.events, *said.mentions),
        reason_code=None if said.events else "empty",
        message=None if said.events else "no caption says that something sounds",
        items=tuple(
            Item(c.caption_id, reason_code="empty" if c.caption_id in empty else None)
            for c in video.captions
        ),
        tokens=analysed.tokens,
        cost_usd=analysed.cost_usd,
    )


def _not_analysed(video: VideoCaptions, said: Trouble, analysed: Analysed) -> Outcome:
    kind = Waiting if said.status == "waiting" else Quarantined
    items = []
    for caption in video.captions:
        code, message = said.faults.get(
            caption.caption_id, (said.code, "another caption of its video is at fault")
        )
        items.append(Item(caption.caption_id, said.status, code, message))
    return kind(
        video.video_id,
        items=tuple(items),
        reason_code=said.code,
        message=said.message,
        value=said.value,
        tokens=analysed.tokens,
        cost_usd=analysed.cost_usd,
    )
