"""Stage `caption`, which is there where `captions.generate` is on: frames to captions with times.

Takes videos whose manifest has no text, gives what a model writes about their frames (and sound);
videos that have text pass untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from earshot.schemas.base import Record
from earshot.schemas.config import CaptionsConfig
from earshot.schemas.generated_caption import GeneratedCaption
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.stage import Digests, Done, Estimate, Outcome, Reads, Stage, StageInput


class CaptionVideos(Stage[CaptionsConfig]):
    """Lets the model of [llm] describe videos that have no text."""

    name: ClassVar[str] = "caption"
    version: ClassVar[str] = "2"
    section: ClassVar[str] = "captions"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(ManifestEntry, ("captions", "events")),
        Reads(
            Video,
            ("sha256", "duration_s", "fps", "width", "height", "has_audio"),
            beside=("uri",),
        ),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (GeneratedCaption,)

    # The client takes a second to import: only who asks a model pays for it.

    @classmethod
    def is_on(cls, config: CaptionsConfig) -> bool:
        """Whether the pipeline has this stage."""
        return config.generate == "openai"

    @property
    def is_remote(self) -> bool:
        """The model is waited for here; decoding has a child of its own."""
        return True

    def keyed_config(self) -> dict[str, Any]:
        """What decides which frames are sent."""
        fields = ("generate_fps", "generate_frames", "generate_px", "generate_audio")
        return {name: getattr(self.config, name) for name in fields}

    def digests(self) -> Digests:
        """The prompt and the model."""
        from earshot.tasks.caption_videos import asked
        from earshot.tasks.llm.ask import model_key

        return Digests(prompt=asked.key_digest(), model=model_key(self.context.llm))

    def ready(self) -> None:
        """Raise EndpointError where the key is not set."""
        from earshot.tasks.llm.endpoint import read_key

        read_key(self.context.llm)

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield the captions of each video; one child decodes for the batch."""
        from earshot.tasks.caption_videos.describe import describe

        left = []
        for given in batch:
            if has_text(given.one(ManifestEntry)):
                yield Done(given.video_id)
            else:
                left.append(given)
        yield from describe(left, self.config, self.context)

    def estimate(self, batch: Sequence[StageInput]) -> Estimate:
        """One call a video without text."""
        from earshot.tasks.caption_videos.describe import estimate_videos

        left = [given for given in batch if not has_text(given.one(ManifestEntry))]
        return estimate_videos(left, self.config, self.context)


def has_text(entry: ManifestEntry) -> bool:
    """Whether the manifest says more about a video than labels."""
    return bool(entry.captions) or any((e.description or "").strip() for e in entry.events)
