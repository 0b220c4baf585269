"""What a version's number says to those who measured on the version before (semver.org).

Major: a question was removed or changed, or the licence; scores can't be compared. Minor: questions
were only added. Patch: the questions are the same, other tables changed. The first is 1.0.0.
"""

from __future__ import annotations

from earshot.tasks.publish_release.diff import ReleaseDiff
from earshot.tasks.publish_release.shelf import Published


def text(diff: ReleaseDiff, previous: Published | None, licence: str | None = None) -> str:
    """Return `major.minor.patch` of the version that differs from `previous` by `diff`.

    A version from before there were such numbers counts as `<version>.0.0`.
    """
    if previous is None:
        return "1.0.0"
    head = previous.head
    major, minor, patch = map(int, (head.semver or f"{head.version}.0.0").split("."))
    questions = diff.questions
    is_other_licence = licence is not None and licence != head.licence
    if questions.removed or questions.changed or is_other_licence:
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if questions.added else f"{major}.{minor}.{patch + 1}"
