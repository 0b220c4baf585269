"""The manifest's records keep what they promise."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from earshot.schemas.release import LedgerCount, ManifestHead


def test_a_ledger_count_that_does_not_add_up_is_refused():
    """In = done + filtered + rejected + quarantined + waiting."""
    with pytest.raises(ValidationError, match="7 items in but 6 accounted for"):
        LedgerCount(stage="probe", item_kind="video", total=7, done=5, waiting=1)


def test_a_head_is_read_from_a_manifest_with_unknown_fields():
    """Later code may write more."""
    head = ManifestHead.model_validate(
        {"v": 1, "name": "a", "version": 2, "content_digest": "d", "files": [], "more": {}}
    )
    assert head.version == 2
