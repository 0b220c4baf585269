"""Runs a script beside a CPU torch: `python tests/consumers/on_cpu.py SCRIPT ARGUMENTS...`.

One thread, for more only wait for each other; torchvision can be imported, whose build wants CUDA.
The script imports `examples` and its neighbours here by their bare names: some trainers' packages
bring a package `tests` of their own.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "consumers"), str(TESTS / "vision"), str(TESTS.parent)]

from torchvision_shim import declare_operators  # noqa: E402 - from the folder named above

if __name__ == "__main__":
    declare_operators()
    torch.set_num_threads(1)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
