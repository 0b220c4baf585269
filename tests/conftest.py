"""What every test may ask for: the folder of shared real data, which a checkout may lack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared real data; the test is skipped, saying so, where there is none."""
    folder = Path(os.environ.get("EARSHOT_SHARED_DATA", _DEFAULT_FOLDER))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set EARSHOT_SHARED_DATA to its folder")
    return folder
