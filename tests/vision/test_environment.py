"""The `vision` extra beside CPU torch: what the trackers need imports, and nothing breaks it.

Runs in the lane `make test-vision` alone, in an environment of its own.
"""

from __future__ import annotations

import importlib.util

import pytest

torch = pytest.importorskip("torch", reason="the vision lane has torch; run `make test-vision`")


def test_detector_and_video_segmenter_import_without_torchvision() -> None:
    """A torchvision that doesn't fit the torch breaks these imports; the extra brings none."""
    assert importlib.util.find_spec("torchvision") is None
    from transformers import GroundingDinoForObjectDetection, Sam2VideoModel

    assert GroundingDinoForObjectDetection.main_input_name == "pixel_values"
    assert issubclass(Sam2VideoModel, torch.nn.Module)


def test_the_core_imports_no_torch_where_there_is_one() -> None:
    """The pipeline and the command line do not load torch, installed or not."""
    import subprocess
    import sys

    script = (
        "import sys, earshot.cli, earshot.tasks.pipeline, earshot.flows.build_dataset\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
