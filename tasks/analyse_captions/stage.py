"""Stage `analyse`: captions and given events to events and mentions, by the configured backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from earshot.schemas.caption import Caption
from earshot.schemas.config import AnalyseConfig
from earshot.schemas.event import Event, GivenEvent
from earshot.schemas.ledger import ItemKind
from earshot.schemas.mention import Mention
from earshot.store.stage import Digests, Done, Item, Outcome, Reads, Stage, StageInput
from earshot.tasks.analyse_captions.lexicon import lexicon_digest
from earshot.tasks.analyse_captions.protocol import Analyser, Analysis
from earshot.tasks.analyse_captions.rules import VERSION, RulesAnalyser
from earshot.tasks.analyse_captions.vocabulary import model_version


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

    def digests(self) -> Digests:
        """The lexicon and the vocabulary's model decide what is found."""
        return Digests(prompt=lexicon_digest(), model=model_version())

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Every caption has to be accounted for."""
        return tuple(caption.caption_id for caption in given.all(Caption))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield events and mentions of each video; captions with nothing in them are `empty`."""
        analyser: Analyser = RulesAnalyser()
        for given in batch:
            # In manifest order, which ids carry as a number: c10 comes behind c9.
            captions = sorted(given.all(Caption), key=_position)
            events = [Event.model_validate(e.model_dump()) for e in given.all(GivenEvent)]
            analysis = analyser.analyse(captions, events, self.config.categories)
            yield _outcome(given.video_id, captions, analysis)


def _position(caption: Caption) -> int:
    return int(caption.caption_id.rpartition("/c")[2])


def _outcome(video_id: str, captions: Sequence[Caption], analysis: Analysis) -> Done:
    empty = set(analysis.empty_caption_ids)
    return Done(
        video_id,
        rows=(*analysis.events, *analysis.mentions),
        reason_code=None if analysis.events else "empty",
        message=None if analysis.events else "no caption says that something sounds",
        items=tuple(
            Item(c.caption_id, reason_code="empty" if c.caption_id in empty else None)
            for c in captions
        ),
    )
