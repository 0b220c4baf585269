"""A build through a real Prefect server that asks a model: the key is in none of its records."""

from __future__ import annotations

import pytest

from tests.llm_server import LlmServer
from tests.tasks.llm.conftest import KEY, World, clip, server, world  # noqa: F401 - fixtures

pytestmark = pytest.mark.flows


def test_the_key_is_in_no_parameter_log_or_record(world: World, server: LlmServer) -> None:  # noqa: F811
    """Parameters, logs, artifacts and the server's database name the variable and no more."""
    done = world.run("build", "--to", "objects")
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 8
    assert KEY not in done.stdout + done.stderr
    files = [file for file in world.folder.rglob("*") if file.is_file()]
    assert [file for file in files if file.suffix == ".db"]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert [file for file in files if b"TEST_LLM_KEY" in file.read_bytes()]
