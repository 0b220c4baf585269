"""The few calls of Label Studio's API that earshot needs, with errors that say what to do.

Speaks HTTP itself, with httpx: label-studio-sdk takes seconds to be imported and holds NumPy and
OpenCV where others want newer ones (docs/inspecting.md has the figures).
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from earshot.errors import ServerError

Json = dict[str, Any]

# A personal token buys an access token of 300 s; it is renewed before it ends.
_ACCESS_S = 200.0
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_PAGE = 200
_VALUES_AT_ONCE = 200
# Everything else costs the server a question a task.
_IN_SHORT = "id,data,total_annotations,drafts"


class NotThereError(ServerError):
    """What was asked for is not on the server."""


class LabelStudio:
    """A server, known by address and token.

    Args:
        url: address without a path.
        token: a personal access token, or one of the old kind.
        timeout_s: for one answer.
    """

    def __init__(self, url: str, token: str, timeout_s: float = 120.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._access: tuple[str, float] = ("", 0.0)
        self._lock = threading.Lock()
        self._http = _http(self.url, timeout_s)
        weakref.finalize(self, self._http.close)

    @staticmethod
    def answers(url: str) -> bool:
        """Whether a Label Studio at an address says that it is well."""
        try:
            with _http(url, 5.0) as http:
                return http.get("/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    # Projects

    def project(self, number: int) -> Json | None:
        """Return a project, None if it is gone."""
        try:
            found: Json = self.get(f"/api/projects/{number}/")
        except NotThereError:
            return None
        return found

    def find_project(self, title: str) -> Json | None:
        """Return the oldest project of a title."""
        found = self.get("/api/projects/", title=title, page_size=100)["results"]
        same = [each for each in found if each["title"] == title]
        return min(same, key=lambda each: int(each["id"]), default=None)

    def serve_folder(self, project: int, path: str, title: str) -> None:
        """Let the server show the files of a folder below its media root."""
        there = self.get("/api/storages/localfiles", project=project)
        if not any(each["path"] == path for each in there):
            told = {"project": project, "path": path, "title": title, "use_blob_urls": True}
            self.post("/api/storages/localfiles", told)

    # Tasks

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Import tasks with their predictions; returns their numbers in the same order."""
        return self.import_json(project, [json.dumps(task) for task in tasks])

    def import_json(self, project: int, tasks: Sequence[str]) -> list[int]:
        """Import tasks that are JSON already."""
        path = f"/api/projects/{project}/import?return_task_ids=true&commit_to_project=true"
        kind = {"Content-Type": "application/json"}
        told = self._ask("POST", path, kind, content=f"[{','.join(tasks)}]".encode())
        return [int(each) for each in told["task_ids"]]

    def tasks_with(self, project: int, name: str, values: Sequence[str]) -> Iterator[Json]:
        """Yield the tasks, without annotations, whose data has one of some values in a field."""
        for at in range(0, len(values), _VALUES_AT_ONCE):
            part = list(values[at : at + _VALUES_AT_ONCE])
            wanted = _filter(f"tasks:data.{name}", "in_list", "String", part)
            yield from list(self._tasks(project, wanted, include=_IN_SHORT))

    def all_tasks(self, project: int) -> Iterator[Json]:
        """Yield every task without its annotations."""
        return self._tasks(project, None, include=_IN_SHORT)

    def changed_tasks(self, project: int, since: datetime | None) -> Iterator[Json]:
        """Yield the tasks that changed after a moment, with annotations and predictions."""
        wanted = None
        if since is not None:
            moment = since.isoformat().replace("+00:00", "Z")
            wanted = _filter("tasks:updated_at", "greater", "Datetime", moment)
        return self._tasks(project, wanted, fields="all")

    def delete_task(self, number: int) -> None:
        """Delete a task; one that is gone already is fine."""
        try:
            self._ask("DELETE", f"/api/tasks/{number}/")
        except NotThereError:
            return

    def _tasks(self, project: int, wanted: Json | None, **what: str) -> Iterator[Json]:
        query = json.dumps(
            {"filters": wanted, "ordering": ["tasks:id"]} if wanted else {"ordering": ["tasks:id"]}
        )
        page, seen = 1, 0
        while True:
            asked = {"project": project, "page": page, "page_size": _PAGE}
            answer = self.get("/api/tasks", **asked, **what, query=query)
            yield from answer["tasks"]
            seen += len(answer["tasks"])
            if not answer["tasks"] or seen >= answer["total"]:
                return
            page += 1

    # HTTP

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a GET."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON of a POST."""
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON of a PATCH."""
        return self._ask("PATCH", path, json=body)

    def _ask(self, method: str, path: str, headers: Json | None = None, **more: Any) -> Any:
        headers = {"Authorization": self._authorization(), **(headers or {})}
        response = self._send(method, path, headers, **more)
        if not response.is_success:
            raise self._fault(method, path, response)
        return response.json() if response.content else None

    def _send(self, method: str, path: str, headers: Json, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, headers=headers, **more)
        except httpx.TimeoutException as error:
            raise ServerError(
                f"Label Studio at {self.url} gave no answer to {method} {path.split('?')[0]} in "
                f"time ({type(error).__name__}): call again; what was taken in stays"
            ) from error
        except httpx.TransportError as error:
            raise ServerError(
                f"Label Studio at {self.url} can't be reached ({type(error).__name__}): start it "
                "with `earshot inspect serve`, or mend label_studio.url; then call again"
            ) from error

    def _authorization(self) -> str:
        """Return what a request is authorised by: an access token where ours is a personal one."""
        if self._token.count(".") != 2:
            return f"Token {self._token}"
        with self._lock:
            access, until = self._access
            if time.monotonic() >= until:
                response = self._send(
                    "POST", "/api/token/refresh", {}, json={"refresh": self._token}
                )
                if not response.is_success:
                    raise self._fault("POST", "/api/token/refresh", response)
                access = str(response.json()["access"])
                self._access = (access, time.monotonic() + _ACCESS_S)
        return f"Bearer {access}"

    def _fault(self, method: str, path: str, response: httpx.Response) -> ServerError:
        code, asked = response.status_code, f"{method} {path.split('?')[0]}"
        # Never the request: it has the token. Nor markup: an error page is no message.
        said = "" if "<html" in response.text[:300].lower() else response.text[:300]
        if code in (401, 403):
            return ServerError(
                f"Label Studio at {self.url} refuses the token ({code} for {asked}): expected a "
                "personal access token of a member (Account & Settings there); for a server that "
                "earshot started, `earshot inspect serve` says where it is"
            )
        if code == 404:
            return NotThereError(f"Label Studio at {self.url} has no {path.split('?')[0]}")
        return ServerError(
            f"Label Studio at {self.url} answered {asked} with {code}: {said} Expected a success: "
            "see its log, then call again; what was taken in stays"
        )


def _http(url: str, timeout_s: float) -> httpx.Client:
    # A proxy of the environment can't reach this machine's loopback.
    is_local = urlsplit(url).hostname in _LOCAL
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=not is_local)


def _filter(name: str, operator: str, kind: str, value: Any) -> Json:
    item = {"filter": f"filter:{name}", "operator": operator, "type": kind, "value": value}
    return {"conjunction": "and", "items": [item]}
