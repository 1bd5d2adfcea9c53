"""Whether a server answers as its OpenAPI schema says, tried by Schemathesis (all of its checks).

Of every operation a few valid and a few invalid requests, always the same; `SCHEMA_CASES=200` tries more. Its own
plugin for pytest does not know pytest 9, so operations are gone through here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks

CASES = settings(
    max_examples=int(os.environ.get("SCHEMA_CASES", "5")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def answers_as_documented(
    schema: schemathesis.BaseSchema,
    ready: Callable[[schemathesis.Case], dict[str, str]],
    at_least: int,
    excluded: Sequence[Callable[..., bool | None]] = (),
) -> None:
    """Try every operation; `ready` may change a case, and gives the headers to send with it. `excluded` checks are not
    made, at least `at_least` requests are.
    """
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @CASES
            @given(case=operation.as_strategy(generation_mode=mode))
            def run(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                answer = case.call(headers=ready(case))
                # Too large is a refusal, too, though this check does not know it.
                known = [checks.negative_data_rejection] if answer.status_code == 413 else []
                known += excluded
                case.validate_response(answer, excluded_checks=known)

            with suppress(Unsatisfiable):  # nothing about this operation can be made invalid
                run()
    assert tried >= at_least, f"{tried} requests"
