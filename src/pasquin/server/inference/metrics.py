"""What the endpoint counts."""

from __future__ import annotations

from typing import Final

from pasquin.metrics import Metrics

_HELP: Final = {
    "pasquin_requests_total": "Requests answered under /v1, by status.",
    "pasquin_prompt_tokens_total": "Tokens of prompts read.",
    "pasquin_completion_tokens_total": "Tokens generated.",
    "pasquin_ahead_total": "Texts that were begun before they were asked for, and handed out.",
    "pasquin_cancelled_total": "Sequences dropped before they ended, because the client left or time ran out.",
}


def endpoint_metrics() -> Metrics:
    """Counters, and seconds from request to the end of the answer by model; all zero."""
    says = "Seconds from request to the end of its answer."
    return Metrics(_HELP, ("pasquin_request_seconds", says, "model"))
