"""Says which split a video falls into, from its name alone.

Takes the video's split group (or id) and gives train, validation or test; never looks at the other
videos, so adding some moves none.
"""

from __future__ import annotations

from earshot.schemas.base import digest_of
from earshot.schemas.question import Split

_UNIT = 2**64


def split_of(group: str, *, seed: int, validation_share: float, test_share: float) -> Split:
    """Return the split of a video.

    A position in [0, 1) is made of the first 64 bits of sha256 over [seed, group]: below
    `test_share` is test, the next `validation_share` is validation, the rest train. So raising the
    test share only moves videos into test.

    Args:
        group: the video's `split_group`, or its `video_id` where it has none. Near-duplicates of
            one group never fall apart.
        seed: another seed gives another, independent split.
        validation_share: expected share of the groups.
        test_share: expected share of the groups.

    Raises:
        ValueError: if the shares leave nothing to train on.
    """
    if not (test_share >= 0 and validation_share >= 0 and test_share + validation_share < 1):
        raise ValueError(
            f"validation_share {validation_share} and test_share {test_share}; expected two shares "
            ">= 0 with a sum below 1: lower one of them"
        )
    position = int(digest_of([seed, group])[:16], 16) / _UNIT
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"
