"""What every caption analyser takes and gives.

Takes the captions and given events of one video; gives an `Analysis`. Holds no logic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.mention import Mention
from earshot.tasks.llm.trouble import Trouble


@dataclass(frozen=True)
class Analysis:
    """What the captions of one video say.

    Attributes:
        events: the given events unchanged, or those found in the captions, by start.
        mentions: one a naming of a thing, within the event that it belongs to; in text order.
        empty_caption_ids: captions that made no event and gave no mention: nothing found.
    """

    events: tuple[Event, ...]
    mentions: tuple[Mention, ...]
    empty_caption_ids: tuple[str, ...]


@dataclass(frozen=True)
class VideoCaptions:
    """The captions and given events of one video; `attempt` counts the tries, from 1."""

    video_id: str
    captions: tuple[Caption, ...]
    given_events: tuple[Event, ...]
    attempt: int = 1


@dataclass(frozen=True)
class Analysed:
    """What became of one video, and what it cost over all builds; None where nothing is paid."""

    video_id: str
    said: Analysis | Trouble
    tokens: int | None = None
    cost_usd: float | None = None


class Analyser(Protocol):
    """A backend of caption analysis."""

    @property
    def name(self) -> str:
        """Name in the configuration."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same captions may give something else."""
        ...

    def analyse(
        self, captions: Sequence[Caption], given_events: Sequence[Event], categories: Sequence[str]
    ) -> Analysis:
        """Return what the captions of one video say.

        Args:
            captions: all captions of the video, in manifest order.
            given_events: the manifest's events; where there are any, their times and labels stand.
            categories: event labels to choose from; empty means the analyser's own.
        """
        ...

    def analyse_all(
        self, videos: Sequence[VideoCaptions], categories: Sequence[str]
    ) -> Iterator[Analysed]:
        """Yield what became of each video, in any order: many may be worked on at a time.

        Raises:
            EndpointError: if whoever is asked refuses everything.
        """
        ...
