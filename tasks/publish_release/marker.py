"""Names of what an unfinished publication leaves lying about, and whether its owner still lives.

The owner stands in the name itself, so that no moment exists at which a folder has no owner.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Self

from earshot.store.workspace import is_alive

STALE_AFTER_S = 24 * 3600.0
"""A publication takes minutes: what is older is given up, whoever owns it."""

_PREFIX = ".publishing"
_TOKEN = secrets.token_hex(4)


@dataclass(frozen=True)
class Marker:
    """Who publishes which dataset since when."""

    name: str
    host: str
    pid: int
    token: str
    started_at_s: int

    @classmethod
    def mine(cls, name: str) -> Self:
        """Return this process's marker, started now."""
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
        return cls(name, host, os.getpid(), _TOKEN, int(time.time()))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the marker that a file's or folder's name is, or None."""
        parts = text.split("~")
        if len(parts) != 6 or parts[0] != _PREFIX:
            return None
        name, host, pid, token, started = parts[1:]
        if not (pid.isdigit() and started.isdigit()):
            return None
        return cls(name, host, int(pid), token, int(started))

    @property
    def text(self) -> str:
        """The name that says all this."""
        parts = [_PREFIX, self.name, self.host, str(self.pid), self.token, str(self.started_at_s)]
        return "~".join(parts)

    def is_over(self) -> bool:
        """Tell whether the owner is gone, or has been at it for more than a day."""
        if time.time() - self.started_at_s > STALE_AFTER_S:
            return True
        mine = Marker.mine(self.name)
        if self.host != mine.host:
            return False
        if self.pid == mine.pid:
            # A number that is ours now was another process's before, if the token differs.
            return self.token != mine.token
        return not is_alive(self.pid)
