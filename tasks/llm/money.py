"""Prices of answers, and the worst that a request may cost: an upper bound, never an estimate."""

from __future__ import annotations

from earshot.schemas.config import LlmConfig, Price
from earshot.store.requests import Mode, RequestStore, Usage
from earshot.tasks.llm.ask import Ask

_MILLION = 1e6
PICTURE_TOKENS = 3000
"""More than any documented model takes for one picture or minute of sound that we send."""


def cost_usd(price: Price | None, usage: Usage | None, mode: Mode) -> float | None:
    """Return what an answer costs; None where the price or the usage is not known."""
    if price is None or usage is None:
        return None
    fresh = max(usage.input - usage.cached, 0)
    whole = (
        fresh * price.input_usd + usage.cached * price.cached_usd + usage.output * price.output_usd
    )
    return whole / _MILLION * (price.batch_share if mode == "batch" else 1.0)


def worst_usd(price: Price | None, ask: Ask, mode: Mode) -> float:
    """Return the most that a request can cost: a token a byte in, all tokens allowed out."""
    if price is None:
        return 0.0
    return cost_usd(price, Usage(most_input_tokens(ask), ask.max_output_tokens), mode) or 0.0


def most_input_tokens(ask: Ask) -> int:
    """Return an upper bound of the tokens of a request: no tokenizer makes two of one byte."""
    return ask.text_bytes + PICTURE_TOKENS * ask.pictures


class BudgetReachedError(Exception):
    """The next request could cost more than is left of `llm.max_budget_usd`."""


def check_budget(llm: LlmConfig, store: RequestStore, worst: float) -> bool:
    """Whether a request that may cost `worst` USD is still inside the budget."""
    return llm.max_budget_usd is None or store.booked_usd + worst <= llm.max_budget_usd


def budget_message(llm: LlmConfig, store: RequestStore, worst: float) -> str:
    """Say why a request is not sent."""
    return (
        f"{store.booked_usd:.4f} of llm.max_budget_usd {llm.max_budget_usd} USD are spent or "
        f"reserved and the next request may cost {worst:.4f} USD; raise it and build again: "
        "nothing that was answered is asked again"
    )
