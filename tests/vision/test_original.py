"""The models of sam2 and groundingdino-py as the tracker calls them; `make test-packages`."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("groundingdino", reason="`make test-packages` has it")

import torch

from earshot.errors import ConfigError, EarshotError, InputError
from earshot.schemas.config import ORIGINAL_DETECTOR, TrackConfig
from earshot.tasks.track_objects.grounded_sam2.models import Models, Place
from earshot.tasks.track_objects.grounded_sam2.propagator import Sam2Propagator, as_pixels
from earshot.tasks.track_objects.grounded_sam2.segmenter import Memory
from earshot.tasks.track_objects.grounded_sam2.texts import Sought
from earshot.tasks.track_objects.grounded_sam2_original.checkpoints import (
    detector_of,
    segmenter_of,
    settings_of,
    text_encoder_of,
)
from tests.vision.tiny_original import look_closely, save_detector, save_segmenter

ON_CPU = Place("cpu", is_half=False, is_compiled=False)
FRAMES = 20


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A detector and a segmenter, as their authors' checkpoints lie."""
    torch.set_num_threads(1)
    look_closely()
    root = tmp_path_factory.mktemp("original")
    return save_detector(root / "detector"), save_segmenter(root / "segmenter")


@pytest.fixture(scope="module")
def models(folders: tuple[Path, Path]) -> Models:
    """Both, loaded."""
    return load(folders, ON_CPU)


def load(folders: tuple[Path, Path], place: Place) -> Models:
    """Load models as the tracker does."""
    from earshot.tasks.track_objects.grounded_sam2_original.load import load as load_models

    detector, segmenter = detector_of(str(folders[0])), segmenter_of(str(folders[1]))
    return load_models(detector, segmenter, text_encoder_of(detector), place)


@pytest.fixture(scope="module")
def frames() -> dict[int, np.ndarray]:
    """Pictures with something that moves."""
    scene = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return {at: np.roll(scene, (at, 2 * at), (0, 1)) for at in range(FRAMES)}


def test_masks_are_those_of_the_packages_own_predictor(
    folders: tuple[Path, Path], models: Models, frames: dict[int, np.ndarray]
) -> None:
    """One object in our memory of bounded size has the logits that `SAM2VideoPredictor` gives."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from earshot.tasks.track_objects.grounded_sam2_original.load import SAM2_OVERRIDES

    box = (0.1, 0.1, 0.5, 0.6)
    config = OmegaConf.merge(
        OmegaConf.load(folders[1] / "tiny.yaml").model,
        {**SAM2_OVERRIDES, "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor"},
    )
    predictor = instantiate(config, _recursive_=True).eval()
    predictor.load_state_dict(torch.load(folders[1] / "tiny.pt")["model"])
    pixels = as_pixels(list(frames.values()), models.segmenter.image_size, models.segmenter)
    state = _state_of(predictor, pixels)
    expected = {}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=False):
        predictor.add_new_points_or_box(state, 0, 1, box=np.array(box) * predictor.image_size)
        for frame, _, _ in predictor.propagate_in_video(state):
            kinds = state["output_dict_per_obj"][0]
            out = {**kinds["cond_frame_outputs"], **kinds["non_cond_frame_outputs"]}[frame]
            expected[frame] = out["pred_masks"][0, 0].float().numpy()
    features = models.segmenter.encode(pixels)
    seen = models.segmenter.prompt(features[0], torch.tensor([box]), 0)
    found = {0: seen.logits[0].numpy()}
    memory = Memory(list(seen.remembered), deque(maxlen=models.segmenter.max_pointers - 1))
    for frame in range(1, FRAMES):
        seen = models.segmenter.step(features[frame], [memory], frame)
        memory.recent.append(seen.remembered[0])
        found[frame] = seen.logits[0].numpy()
    spread = float(np.std([logits.mean() for logits in expected.values()]))
    worst = max(float(np.abs(found[at] - expected[at]).max()) for at in expected)
    # The predictor keeps its memory in bfloat16.
    assert worst < 0.1 * max(spread, float(np.abs(expected[0]).max())), (worst, spread)


def _state_of(predictor: Any, pixels: torch.Tensor) -> dict[str, Any]:
    """Return a state of the predictor as `init_state` makes it, without files."""
    from collections import OrderedDict

    device = torch.device("cpu")
    size = predictor.image_size
    return {
        "images": pixels, "num_frames": len(pixels), "offload_video_to_cpu": False,
        "offload_state_to_cpu": False, "video_height": size, "video_width": size,
        "device": device, "storage_device": device, "point_inputs_per_obj": {},
        "mask_inputs_per_obj": {}, "cached_features": {}, "constants": {},
        "obj_id_to_idx": OrderedDict(), "obj_idx_to_id": OrderedDict(), "obj_ids": [],
        "output_dict_per_obj": {}, "temp_output_dict_per_obj": {}, "frames_tracked_per_obj": {},
    }  # fmt: skip


def test_objects_together_are_as_each_alone(models: Models, frames: dict[int, np.ndarray]) -> None:
    """Also those that were prompted on different frames, both ways."""
    boxes = np.array([(0.1, 0.1, 0.4, 0.5), (0.5, 0.5, 0.9, 0.9), (0.3, 0.2, 0.8, 0.6)])

    def follow(tracks: list[int]) -> dict[tuple[int, int], np.ndarray]:
        propagator = Sam2Propagator(models.segmenter, frames)
        found = {}
        early, late = [t for t in tracks if t < 2], [t for t in tracks if t == 2]
        for frame in range(10):
            known = early + (late if frame > 4 else [])
            if frame and known:
                rows, _ = propagator.step(frame, known, False)
                found.update({(t, frame): row for t, row in zip(known, rows, strict=True)})
            new = early if frame == 0 else late if frame == 4 else []
            if new:
                propagator.prompt(frame, new, boxes[new])
                if frame == 4:
                    back, _ = propagator.step(3, new, True)
                    found.update({(t, -3): row for t, row in zip(new, back, strict=True)})
        return found

    together = follow([0, 1, 2])
    for track in range(3):
        for key, row in follow([track]).items():
            np.testing.assert_allclose(row, together[key], atol=1e-3)


def test_half_precision_finds_the_same(folders: tuple[Path, Path], models: Models) -> None:
    """Under autocast, as on a GPU, both models run, and boxes stay where they were."""
    half = load(folders, Place("cpu", is_half=True, is_compiled=False))
    frame = [np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)]
    sought = [[Sought("dog", "the dog")]]
    one, other = (each.detector.detect(frame, sought)[0] for each in (models, half))
    assert np.median(np.abs(one.boxes - other.boxes)) < 0.05
    assert np.abs(one.scores - other.scores).max() < 0.2
    propagator = Sam2Propagator(half.segmenter, dict(enumerate(frame * 3)))
    boxes, _ = propagator.prompt(0, [0], np.array([(0.1, 0.1, 0.6, 0.6)]))
    again, scores = propagator.step(1, [0], False)
    assert boxes.shape == again.shape == (1, 4)
    assert scores[0] > 0.5


def test_the_same_text_is_encoded_once(models: Models) -> None:
    """Frames share the text's features; so do later calls."""
    encoder = models.detector._model.bert  # type: ignore[attr-defined]
    before = encoder.encoded
    frame = np.full((40, 64, 3), 10, np.uint8)
    models.detector.detect([frame] * 3, [[Sought("train", "the red train")]] * 3)
    models.detector.detect([frame], [[Sought("train", "the red train")]])
    assert encoder.encoded == before + 1


def test_a_configuration_is_read_and_not_run(tmp_path: Path) -> None:
    """Grounding DINO's is Python: literals are taken, and anything else is refused."""
    file = tmp_path / "c.py"
    file.write_text("batch_size = 1\nbackbone = 'swin_T_224_1k'\nenc = [1, 2]\n")
    assert settings_of(file) == {"batch_size": 1, "backbone": "swin_T_224_1k", "enc": [1, 2]}
    file.write_text("import os\nhome = os.getcwd()\n")
    with pytest.raises(InputError, match="expected lines NAME = VALUE"):
        settings_of(file)


def test_strange_classes_are_not_made(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A configuration of SAM 2 may name classes of sam2 alone."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "m.pt").write_bytes((folders[1] / "tiny.pt").read_bytes())
    text = (folders[1] / "tiny.yaml").read_text()
    changed = text.replace("sam2.modeling.memory_encoder.MemoryEncoder", "os.getcwd")
    (tmp_path / "s" / "m.yaml").write_text(changed)
    with pytest.raises(ConfigError, match=r"asks for os\.getcwd"):
        load((folders[0], tmp_path / "s"), ON_CPU)


def test_a_checkpoint_of_another_model_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Weights that do not fit their configuration are an error in one line."""
    (tmp_path / "s").mkdir()
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "s" / "m.pt")
    (tmp_path / "s" / "m.yaml").write_text((folders[1] / "tiny.yaml").read_text())
    with pytest.raises(ConfigError, match="does not fit") as caught:
        load((folders[0], tmp_path / "s"), ON_CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"detector": "/nowhere/x.pth"}, "no such file or folder"),
        ({"detector": "owner/name"}, "no OWNER/NAME/FILE.pth of the hub"),
        ({"segmenter": "EMPTY"}, "expected one .pt file in the folder, found none"),
        ({}, r"weights are not on this machine.*hf download ShilongLiu/GroundingDINO"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    changes: dict[str, str],
    expected: str,
    tmp_path: Path,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Missing files, folders without them and ids that can't be had each have a remedy."""
    from earshot.tasks.track_objects.grounded_sam2_original.tracker import OriginalTracker

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    given = {key: value.replace("EMPTY", str(tmp_path)) for key, value in changes.items()}
    given.setdefault("detector", str(folders[0])) if changes else None
    config = TrackConfig(backend="grounded_sam2_original", device="cpu", **given)
    assert changes or config.detector == ORIGINAL_DETECTOR
    with pytest.raises(EarshotError, match=expected) as caught:
        OriginalTracker(config).open()
    assert "\n" not in str(caught.value)
