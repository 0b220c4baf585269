"""Stage `objects`: mentions to the key objects of a video and their part in each event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from earshot.schemas.caption import Caption
from earshot.schemas.config import ObjectsConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ledger import REASONS, ItemKind
from earshot.schemas.mention import Mention
from earshot.schemas.object import Object
from earshot.store.stage import Digests, Done, Item, Outcome, Reads, Stage, StageInput
from earshot.tasks.extract_objects.merge import VERSION, Extraction, merge, names_digest


class ExtractObjects(Stage[ObjectsConfig]):
    """Joins mentions into objects; each mention is a candidate that has to be accounted for."""

    name = "objects"
    version = VERSION
    section = "objects"
    reads = (
        Reads(Mention, ("digest",)),
        Reads(Caption, ("start_s", "text")),
        Reads(Event, ("video_id", "segments")),
    )
    writes = (Object, EventObject)
    item_kind: ClassVar[ItemKind | None] = "object"

    def digests(self) -> Digests:
        """The synonyms decide what is one object."""
        return Digests(prompt=names_digest())

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Every mention has to be accounted for."""
        return tuple(mention.mention_id for mention in given.all(Mention))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield the objects of each video; mentions that are none are said with a reason."""
        for given in batch:
            extraction = merge(
                given.all(Mention),
                given.all(Caption),
                given.all(Event),
                max_objects_per_event=self.config.max_objects_per_event,
            )
            yield Done(
                given.video_id,
                rows=(*extraction.objects, *extraction.event_objects),
                reason_code=None if extraction.objects else "empty",
                message=None if extraction.objects else "no event has an object",
                items=tuple(_item(mention, extraction) for mention in given.all(Mention)),
            )


def _item(mention: Mention, extraction: Extraction) -> Item:
    for rejected in extraction.rejected:
        if rejected.mention.mention_id == mention.mention_id:
            status = REASONS[rejected.code].status
            return Item(
                mention.mention_id, status, rejected.code, rejected.message, mention.surface
            )
    span = (mention.caption_id, mention.char_start, mention.char_end)
    for left_out in extraction.over_limit:
        spans = {(e.caption_id, e.char_start, e.char_end) for e in left_out.evidence}
        if left_out.event_id == mention.event_id and span in spans:
            message = "the event has more objects than are followed"
            return Item(mention.mention_id, "filtered", "over_limit", message, mention.surface)
    return Item(mention.mention_id)
