"""Tests of the environment that Prefect gets for a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from earshot.flows.settings import (
    OWN_API_URL,
    apply,
    prefect_environment,
    server_environment,
    user_api_url,
)

URL = "http://127.0.0.1:4321/api"


def test_history_lies_in_the_workspace(tmp_path: Path) -> None:
    """Prefect's home and database are put into the workspace, by an absolute path."""
    env = prefect_environment(tmp_path, URL, environ={})
    assert env["PREFECT_API_URL"] == URL
    assert env["PREFECT_HOME"] == str(tmp_path / "prefect")
    database = env["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert database == f"sqlite+aiosqlite:///{tmp_path}/prefect/history.db"


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED"])
def test_telemetry_is_off_whatever_the_environment_says(tmp_path: Path, name: str) -> None:
    """A user's environment can't turn telemetry on, with our server or with theirs."""
    off = prefect_environment(tmp_path, URL, environ={})[name]
    for user in ({name: "maybe"}, {name: "maybe", "PREFECT_API_URL": URL}):
        assert prefect_environment(tmp_path, URL, environ=user)[name] == off


def test_levels_that_the_user_set_are_kept(tmp_path: Path) -> None:
    """A log level or service switch in the environment wins over our default."""
    env = prefect_environment(tmp_path, URL, environ={"PREFECT_LOGGING_LEVEL": "DEBUG"})
    assert env["PREFECT_LOGGING_LEVEL"] == "DEBUG"


def test_settings_of_another_server_do_not_leak_in(tmp_path: Path) -> None:
    """Database, credentials and profile meant for another server are taken out for our own."""
    user = {
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://elsewhere/x",
        "PREFECT_API_KEY": "secret",
        "PREFECT_PROFILE": "work",
        "PREFECT_SERVER_API_BASE_PATH": "/x",
    }
    env = prefect_environment(tmp_path, URL, environ=user)
    assert {key: env[key] for key in user} == dict.fromkeys(user, "")


def test_with_the_users_server_home_and_credentials_stay(tmp_path: Path) -> None:
    """With PREFECT_API_URL set by the user, neither home nor database nor key are touched."""
    user = {"PREFECT_API_URL": URL, "PREFECT_API_KEY": "secret", "PREFECT_HOME": "/h"}
    env = prefect_environment(tmp_path, URL, environ=user)
    assert env["PREFECT_API_URL"] == URL
    assert not {"PREFECT_HOME", "PREFECT_API_KEY", OWN_API_URL} & env.keys()
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in env


def test_own_address_is_not_taken_for_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After apply(), the address of our ended server doesn't count as the user's wish."""
    monkeypatch.setattr(os, "environ", {})
    apply(prefect_environment(tmp_path, URL, environ={}))
    assert os.environ["PREFECT_API_URL"] == URL
    assert user_api_url() is None
    os.environ["PREFECT_API_URL"] = "http://other:4200/api/"
    assert user_api_url() == "http://other:4200/api"


def test_loopback_bypasses_the_proxy_and_keeps_the_users_exceptions(tmp_path: Path) -> None:
    """The user's NO_PROXY stays, with loopback added once."""
    env = prefect_environment(tmp_path, URL, environ={"no_proxy": "a.example, 127.0.0.1"})
    assert env["NO_PROXY"] == env["no_proxy"] == "a.example,127.0.0.1,localhost"


def test_apply_sets_and_removes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value is set, an empty value removes the variable."""
    monkeypatch.setattr(os, "environ", {"A": "1", "B": "2"})
    apply({"A": "3", "B": "", "C": ""})
    assert os.environ == {"A": "3"}


def test_prefect_accepts_every_setting(tmp_path: Path) -> None:
    """Prefect itself reads our variables as meant, and knows each PREFECT_ name among them."""
    script = """
import os, sys
from pathlib import Path
from earshot.flows.settings import apply, server_environment
env = server_environment(Path(sys.argv[1]), 4321)
apply(env)
from prefect.settings import get_current_settings
s = get_current_settings()
assert str(s.home) == str(Path(sys.argv[1]) / "prefect"), s.home
assert s.api.url == s.server.ui.api_url == "http://127.0.0.1:4321/api"
assert not s.server.analytics_enabled and not s.server.ephemeral.enabled
assert not s.server.services.triggers.enabled and not s.results.persist_by_default
assert s.server.database.connection_url.get_secret_value().endswith("/prefect/history.db")
assert s.server.ephemeral.startup_timeout_seconds == 600
known = s.to_environment_variables(include_aliases=True)
free = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"}  # a path into logging.yml
unknown = {k for k in env if k.startswith("PREFECT_")} - known.keys() - free
assert not unknown, unknown
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_server_environment_names_its_own_listener(tmp_path: Path) -> None:
    """The server's own environment says where it listens, so that its pages find its API."""
    env = server_environment(tmp_path, 4321)
    assert (env["PREFECT_SERVER_API_HOST"], env["PREFECT_SERVER_API_PORT"]) == ("127.0.0.1", "4321")
