"""Leases: who works on one (stage, shard), with an expiry, so that nothing outlives its holder.

Leases save double work, never correctness: parts are uniquely named and readers take the latest.
A lease whose process is gone (same host) or whose expiry has passed is taken over.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from earshot.store.workspace import Workspace, disk_fault, write_atomic

TTL_S = 60.0


@contextmanager
def lease(
    workspace: Workspace, stage: str, shard: str, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lease of (stage, shard), waiting for it as long as another live process has it.

    Args:
        workspace: where.
        stage: stage name.
        shard: shard name.
        waiting: told once who holds it, if somebody does.

    Raises:
        WorkspaceError: when the folder can't be written.
    """
    path = workspace.leases / f"{stage}-{shard}.json"
    owner = secrets.token_hex(8)
    _acquire(path, owner, waiting)
    stop = threading.Event()
    keeper = threading.Thread(target=_renew, args=(path, owner, stop), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        if (_read(path) or {}).get("owner") == owner:
            path.unlink(missing_ok=True)


def _acquire(path: Path, owner: str, waiting: Callable[[str], None] | None) -> None:
    told = False
    while not _create(path, owner):
        held = _read(path)
        if held is None or _is_over(held):
            # Renaming is atomic: of several that find it over, one gets it away.
            aside = path.with_name(f".over-{path.name}-{secrets.token_hex(4)}")
            try:
                path.rename(aside)
            except FileNotFoundError:
                continue
            aside.unlink(missing_ok=True)
            continue
        if waiting and not told:
            waiting(f"process {held.get('pid')} on {held.get('host')} works on {path.stem}")
            told = True
        time.sleep(0.2)


def _create(path: Path, owner: str) -> bool:
    temporary = path.with_name(f".tmp-{path.name}-{owner}")
    write_atomic(temporary, _content(owner))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_fault(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _content(owner: str) -> bytes:
    return json.dumps(
        {
            "owner": owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "expires_at": time.time() + TTL_S,
        }
    ).encode()


def _read(path: Path) -> dict[str, str] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_over(held: dict[str, str]) -> bool:
    if held.get("host") == socket.gethostname():
        try:
            os.kill(int(held["pid"]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    return time.time() > float(held.get("expires_at", 0))


def _renew(path: Path, owner: str, stop: threading.Event) -> None:
    while not stop.wait(TTL_S / 3):
        if (_read(path) or {}).get("owner") != owner:
            return
        write_atomic(path, _content(owner))
