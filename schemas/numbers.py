"""Models whose numbers are numbers: pydantic alone reads `max_budget_usd = true` as one dollar."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ValidationInfo, field_validator


class PlainNumbers(BaseModel):
    """A model that refuses `true` and `false` for a number."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_is_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError(f"expected a number, found {str(value).lower()}")
        return value
