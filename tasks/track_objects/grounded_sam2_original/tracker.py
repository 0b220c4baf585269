"""The backend `grounded_sam2_original`: the same way of the data, by the authors' own packages.

Takes the checkpoints that users of Grounded-SAM-2 have (.pth and .pt); what is done with frames,
key frames, tracks and memory is that of `grounded_sam2`. Imports no torch before `open`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.schemas.base import digest_of
from earshot.tasks.track_objects.grounded_sam2 import weights
from earshot.tasks.track_objects.grounded_sam2.texts import Sought, prompts_of
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.grounded_sam2_original.checkpoints import (
    TEXT_FILES,
    Checkpoint,
    detector_of,
    segmenter_of,
    text_encoder_of,
)

if TYPE_CHECKING:
    from earshot.tasks.track_objects.grounded_sam2.models import Models

MODULES = ("torch", "torchvision", "transformers", "sam2", "groundingdino")


class OriginalTracker(GroundedSam2Tracker):
    """Grounding DINO of groundingdino-py and SAM 2 video of sam2.

    Settings and errors are those of `GroundedSam2Tracker`, with other files for the models.
    """

    backend = "grounded_sam2_original"
    backend_version = "1"

    @cached_property
    def weights_digest(self) -> str | None:
        """Digest of checkpoints, configurations and the text encoder's files."""
        detector, segmenter, texts = self._checkpoints
        files = [detector.weights, detector.config, segmenter.weights, segmenter.config]
        files += sorted({file for pattern in TEXT_FILES for file in texts.glob(pattern)})
        return digest_of([weights.digest_files(files)])

    @cached_property
    def _checkpoints(self) -> tuple[Checkpoint, Checkpoint, Path]:
        detector = detector_of(self._config.detector)
        return detector, segmenter_of(self._config.segmenter), text_encoder_of(detector)

    def _check_installed(self) -> None:
        weights.check_extra(self.backend, "original", MODULES)

    def _load(self) -> Models:
        from earshot.tasks.track_objects.grounded_sam2.models import place_of

        place = place_of(self._config)
        from earshot.tasks.track_objects.grounded_sam2_original.load import load

        return load(*self._checkpoints, place)

    def _texts(self, sought: Sequence[Sought]) -> int:
        _, count = weights.text_room(self._checkpoints[2])
        return len(prompts_of(sought, weights.MAX_TOKENS, count))
