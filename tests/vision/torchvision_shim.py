"""Lets torchvision be imported beside a torch without CUDA, whose build lacks its operators.

Declares the two operators that its import registers fake kernels for; calling them still fails, and
nothing here does. Only for tests: who has a GPU has a torchvision that fits.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch

_declared: list[torch.library.Library] = []


def declare_operators() -> None:
    """Declare the operators, once, where torchvision is installed."""
    if _declared or find_spec("torchvision") is None or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
