"""How many tokens and dollars requests will take, by what the answers so far took.

Tokenizers are not asked: their tables would have to be downloaded, and endpoints differ. Until
there are answers a token is taken for 4 bytes of text and an answer for a stated number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earshot.schemas.config import LlmConfig
from earshot.store.requests import RequestStore, Usage
from earshot.store.stage import Estimate
from earshot.tasks.llm.money import cost_usd

BYTES_A_TOKEN = 4.0
OUTPUT_TOKENS = 250
PICTURE_TOKENS = 500
_ENOUGH = 20
"""From so many answers on their mean is better than the assumption."""


@dataclass(frozen=True)
class Estimator:
    """What one request takes on average.

    Attributes:
        low_output, high_output: tokens that nine of ten answers lie between.
        cached_share: part of the input that the endpoint had cached.
        basis: what all this rests on, in words.
    """

    bytes_a_token: float
    output: float
    low_output: float
    high_output: float
    cached_share: float
    basis: str

    @classmethod
    def of(cls, store: RequestStore, step: str, llm: LlmConfig) -> Estimator:
        """Return what the recorded usage of a step and model teaches."""
        total = store.totals(step, llm.model)
        if total.calls < _ENOUGH or not total.input_tokens:
            return cls(
                BYTES_A_TOKEN,
                OUTPUT_TOKENS,
                OUTPUT_TOKENS / 3,
                min(OUTPUT_TOKENS * 3, llm.max_output_tokens),
                0.0,
                f"assumed {BYTES_A_TOKEN:g} bytes a token and {OUTPUT_TOKENS} tokens an answer",
            )
        low, high = np.percentile(total.outputs, [5, 95])
        mean = sum(total.outputs) / total.calls
        bytes_a_token = total.sent_bytes / total.input_tokens
        return cls(
            bytes_a_token,
            mean,
            float(low),
            float(high),
            total.cached_tokens / total.input_tokens,
            f"learned from {total.calls} answers: {bytes_a_token:.2f} bytes a token, "
            f"{mean:.0f} tokens an answer",
        )

    def input(self, text_bytes: int, pictures: int = 0) -> float:
        """Return the input tokens of a request."""
        return text_bytes / self.bytes_a_token + PICTURE_TOKENS * pictures

    def estimate(self, llm: LlmConfig, calls: int, text_bytes: int, pictures: int = 0) -> Estimate:
        """Return what so many calls with so much text in all will cost, with a range.

        The low end has short answers, the high end long ones, no prompt caching, and every third
        answer repaired once.
        """
        if not calls:
            return Estimate()
        sent = self.input(text_bytes, pictures)
        cached = sent * self.cached_share

        def usd(output: float, cached: float, times: float) -> float:
            usage = Usage(round(sent), round(calls * output), round(cached))
            return times * (cost_usd(llm.price, usage, llm.mode) or 0.0)

        return Estimate(
            calls=calls,
            tokens=round(sent + calls * self.output),
            usd=usd(self.output, cached, 1.0),
            usd_low=usd(self.low_output, cached, 1.0),
            usd_high=usd(self.high_output, 0.0, 4 / 3),
            basis=self.basis + ("" if llm.price else f"; no price for {llm.model} in llm.prices"),
        )
