"""Tiny models on disk, made once; one thread, for more only wait for each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the vision lane has torch; run `make test-vision`")

from tests.vision.torchvision_shim import declare_operators  # noqa: E402 - it needs torch

# Before any test module imports transformers, which imports torchvision where there is one.
declare_operators()


@dataclass(frozen=True)
class Folders:
    """Folders as `save_pretrained` writes them."""

    detector: Path
    mm_detector: Path
    segmenter: Path


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A Grounding DINO, an MM Grounding DINO and a SAM 2, all tiny and of random weights."""
    from tests.vision.tiny import save_detector, save_segmenter

    root = tmp_path_factory.mktemp("tiny")
    return Folders(
        save_detector(root / "detector"),
        save_detector(root / "mm_detector", kind="mm-grounding-dino"),
        save_segmenter(root / "segmenter"),
    )
