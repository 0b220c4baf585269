"""Takes a workspace and an API address, gives the environment in which Prefect runs for it.

Never imports Prefect: it reads its settings when it is imported, so they have to stand before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# A start takes 6 to 17 s of CPU, which a crowded machine may need minutes to give; a server that
# dies is noticed at once, so a long limit costs only where one hangs.
STARTUP_LIMIT_S = 600
LOOPBACK = "127.0.0.1"
# Prefect's default of 180 s would make a build that runs well look dead to `earshot setup-server`'s
# automation; deployments have the same number from prefect.yaml.
HEARTBEAT_S = 30
# Four minutes of waiting, doubled each time; Prefect's default of 5 is one. SQLite under several
# runs is locked for longer than that, and a server that is being upgraded is away for longer.
CLIENT_RETRIES = 7
# Says that `PREFECT_API_URL` was set by us, so that a later start doesn't take it for the user's.
OWN_API_URL = "EARSHOT_OWN_API_URL"

# What a user may have set for another server; beside ours each of these breaks the start or
# leads the history elsewhere. The older spellings (PREFECT_API_...) win where both are set.
_FOREIGN = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_DATABASE_",
    "PREFECT_API_KEY",
    "PREFECT_LOCAL_STORAGE_PATH",
    "PREFECT_MEMO_STORE_PATH",
    "PREFECT_PROFILE",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",
    "PREFECT_SERVER_API_",
    "PREFECT_SERVER_DATABASE_",
    "PREFECT_SERVER_EPHEMERAL_",
    "PREFECT_SERVER_UI_API_URL",
    "PREFECT_SERVER_UI_SERVE_BASE",
    "PREFECT_UI_API_URL",
    "PREFECT_UI_SERVE_BASE",
)

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
}

_DEFAULTS = {
    # INFO reaches the history, the terminal gets warnings only: it belongs to our own progress.
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLIENT_MAX_RETRIES": str(CLIENT_RETRIES),
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
}

_LEAN_SERVER = {
    # One row at a time by default, a statement compiled for each: two thirds of the server's work.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    # A server of one workspace has no blocks, nothing to schedule, and triggers read every event
    # again.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


def prefect_folder(workspace: Path) -> Path:
    """Return the folder of the workspace that holds Prefect's home, database, log and pid file."""
    return workspace.absolute() / "prefect"


def database_of(workspace: Path) -> Path:
    """Return the SQLite file in which the workspace's own server keeps its runs."""
    return prefect_folder(workspace) / "history.db"


def user_api_url(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the address of the server that the user named in `PREFECT_API_URL`, or None.

    Only the environment counts: a profile (`prefect config set`) is the user's for other work, and
    may name a server that no longer runs.
    """
    env = os.environ if environ is None else environ
    url = env.get("PREFECT_API_URL", "").strip()
    return None if url == env.get(OWN_API_URL) else url.rstrip("/") or None


def prefect_environment(
    workspace: Path, api_url: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return every variable that a process of ours needs to talk to the server at `api_url`.

    `environ` (the current environment unless given) is what the user set: levels and switches
    found there are kept, telemetry stays off whatever it says. With the user's own server
    (`PREFECT_API_URL`) home, profile and credentials stay the user's; otherwise home and database
    are the workspace's. An empty value means that the variable has to go.
    """
    user = dict(os.environ if environ is None else environ)
    env = {key: user.get(key, value) for key, value in _DEFAULTS.items()} | _TELEMETRY_OFF
    env["PREFECT_API_URL"] = api_url
    env["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"
    env["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = str(STARTUP_LIMIT_S)
    if user_api_url(user) == api_url.rstrip("/"):
        return env
    folder = prefect_folder(workspace)
    env |= {key: "" for key in user if key.startswith(_FOREIGN) and key not in env}
    env |= {
        OWN_API_URL: api_url,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database_of(workspace)}",
        "NO_PROXY": _no_proxy(user),
        "no_proxy": _no_proxy(user),
    }
    return env


def server_environment(workspace: Path, port: int) -> dict[str, str]:
    """Return what the workspace's server itself needs, for a listener on loopback at `port`."""
    env = prefect_environment(workspace, f"http://{LOOPBACK}:{port}/api", environ=os.environ)
    env |= {key: os.environ.get(key, value) for key, value in _LEAN_SERVER.items()}
    env |= {"PREFECT_SERVER_API_HOST": LOOPBACK, "PREFECT_SERVER_API_PORT": str(port)}
    return env


def apply(env: Mapping[str, str]) -> None:
    """Put the variables of `prefect_environment` into this process's environment.

    Call it before `import prefect`. Where Prefect is already there it is told to read its settings
    again; log levels then stay as they were.
    """
    for key, value in env.items():
        if value:
            os.environ[key] = value
        else:
            os.environ.pop(key, None)
    context = sys.modules.get("prefect.context")
    if context is not None:
        context.refresh_global_settings_context()


def _no_proxy(user: Mapping[str, str]) -> str:
    """Return the user's proxy exceptions with loopback among them."""
    names = [part for key in ("NO_PROXY", "no_proxy") for part in user.get(key, "").split(",")]
    return ",".join(dict.fromkeys([*filter(None, map(str.strip, names)), LOOPBACK, "localhost"]))
