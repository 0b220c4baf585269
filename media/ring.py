"""A few slots of shared memory through which a child hands arrays to its parent.

Takes the handle of a file without a name, so nothing is left behind when either side is killed;
`multiprocessing.shared_memory` names its blocks, and before Python 3.13 each side needs one more
process to clean up after them. Never waits: who may write when is the pipe's business.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile

import numpy as np
import numpy.typing as npt

# The child works ahead by so many frames; more hide no more waiting and cost memory.
SLOTS = 3

Array = npt.NDArray[np.uint8]


def new_handle() -> int:
    """Return the handle of an empty block of memory; it goes with its last handle."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("earshot-frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Ring:
    """The slots, as one side sees them.

    Args:
        handle: what `new_handle` gave, in the parent, or was inherited, in the child.
        slot_bytes: size of the largest array.
    """

    def __init__(self, handle: int, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        size = SLOTS * slot_bytes
        if os.fstat(handle).st_size < size:
            os.ftruncate(handle, size)
        self._memory = mmap.mmap(handle, size)

    def put(self, index: int, array: Array) -> None:
        """Copy the index-th array into its slot."""
        self._slot(index, array.shape)[...] = array

    def take(self, index: int, shape: tuple[int, ...]) -> Array:
        """Return a copy of the index-th array."""
        return self._slot(index, shape).copy()

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def _slot(self, index: int, shape: tuple[int, ...]) -> Array:
        offset = index % SLOTS * self.slot_bytes
        flat = np.frombuffer(self._memory, np.uint8, math.prod(shape), offset)
        return flat.reshape(shape)
