"""The text encoder of groundingdino-py on transformers 5, whose BertModel lost what it calls.

Takes the parts of a BertModel under the same names, so checkpoints fit; gives the same states. The
package's own wrapper asks the model for `get_extended_attention_mask` and `get_head_mask`
(IDEA-Research/GroundingDINO issue 446).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from earshot.tasks.track_objects.grounded_sam2.detector import CACHED_TEXTS


class AdaptedBert(nn.Module):
    """Stands in for the package's `BertModelWarper`; the same text is encoded once.

    Args:
        bert_model: a BertModel.
    """

    def __init__(self, bert_model: Any) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings = bert_model.embeddings
        self.encoder = bert_model.encoder
        self.pooler = bert_model.pooler
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self.encoded = 0

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return `last_hidden_state` (b, tokens, C).

        Args:
            input_ids: (b, tokens).
            attention_mask: (b, tokens, tokens) or (b, tokens), True where attended.
            token_type_ids: (b, tokens) or None.
            position_ids: (b, tokens) or None: they begin anew with each phrase.
        """
        rows = []
        for at in range(len(input_ids)):
            key = input_ids[at].cpu().numpy().tobytes()
            if key not in self._known:
                one = slice(at, at + 1)
                types = None if token_type_ids is None else token_type_ids[one]
                places = None if position_ids is None else position_ids[one]
                self._known[key] = self._encode(input_ids[one], attention_mask[one], types, places)
                self.encoded += 1
            self._known.move_to_end(key)
            rows.append(self._known[key])
        while len(self._known) > CACHED_TEXTS:
            self._known.popitem(last=False)
        return {"last_hidden_state": torch.cat(rows)}

    def _encode(
        self, tokens: Tensor, attended: Tensor, types: Tensor | None, places: Tensor | None
    ) -> Tensor:
        wide = attended[:, None] if attended.dim() == 3 else attended[:, None, None]
        states = self.embeddings(input_ids=tokens, token_type_ids=types, position_ids=places)
        least = torch.finfo(states.dtype).min
        mask = torch.zeros(wide.shape, dtype=states.dtype, device=states.device)
        mask = mask.masked_fill(~wide.bool(), least)
        encoded: Tensor = self.encoder(states, attention_mask=mask)[0]
        return encoded
