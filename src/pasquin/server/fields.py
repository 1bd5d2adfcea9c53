"""Fields of requests that pydantic alone would take more for than their schema says: `true` for 1, `"2"` for 2."""

from __future__ import annotations

from typing import Final

from pydantic import BeforeValidator


def _a_number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("it is not a number")  # noqa: TRY004 - pydantic makes an error of the request of this alone
    return value


NUMBER: Final = BeforeValidator(_a_number)
"""Stands behind the bounds of a field: before them they would not be in the schema."""
