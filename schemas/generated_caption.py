"""generated_caption: a caption that a model wrote from frames, with where it comes from."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from earshot.schemas.base import req
from earshot.schemas.caption import Caption


class GeneratedCaption(Caption):
    """What a model wrote about a stretch of a video; `caption_source` is `generated`."""

    TABLE: ClassVar[str] = "generated_captions"
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [*Caption.ARROW, req("prompt_digest", pa.string()), req("answer_key", pa.string())]
    )

    prompt_digest: str
    answer_key: str
