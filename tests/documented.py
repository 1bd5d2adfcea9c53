"""Whether a server answers as its OpenAPI schema says, tried by Schemathesis (all of its checks).

Of every operation a few valid and a few invalid requests, and some ways through several operations of which each takes
up what an earlier one answered, always the same; `SCHEMA_CASES=200` tries more. Its own plugin for pytest does not know
pytest 9, so operations are gone through here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import suppress
from http.cookies import SimpleCookie
from types import MappingProxyType
from typing import Any, NamedTuple

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from hypothesis.stateful import get_state_machine_test
from schemathesis import checks

METHODS = {"get", "put", "post", "delete", "patch"}

CASES = settings(
    max_examples=int(os.environ.get("SCHEMA_CASES", "5")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
WAYS = CASES.max_examples
WAY = settings(CASES, max_examples=2, stateful_step_count=30)
"""The shortest way, and one by chance. No more at once: what a server answers depends on the ways before, and
Hypothesis wants the same draws to lead to the same place."""


def answers_as_documented(
    schema: schemathesis.BaseSchema,
    ready: Callable[[schemathesis.Case], dict[str, str]],
    at_least: int,
    excluded: Sequence[Callable[..., bool | None]] = (),
) -> None:
    """Try every operation; `ready` may change a case, and gives the headers to send with it. `excluded` checks are not
    made, at least `at_least` requests are.
    """
    _signed_in(schema.raw_schema)
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
                case.validate_response(answer, excluded_checks=[*_not_for(answer), *excluded])

            with suppress(Unsatisfiable):  # nothing about this operation can be made invalid
                run()
    assert tried >= at_least, f"{tried} requests"


class Link(NamedTuple):
    """What may follow an answer: `source` ("POST /guess 200") gives `target` ("POST /reason") its values, written as
    OpenAPI's runtime expressions. Parts of a body that are not given are made up.
    """

    source: str
    target: str
    parameters: Mapping[str, str] = MappingProxyType({})
    body: Any = None


def answers_in_sequence(
    schema: schemathesis.BaseSchema,
    links: Sequence[Link],
    begin: Callable[[], MutableMapping[str, str]],
    ready: Callable[[schemathesis.Case], object] = lambda _: None,
    excluded: Sequence[Callable[..., bool | None]] = (),
    refused: Collection[str] = (),
) -> Counter[str]:
    """Go many ways through the operations along `links`, each step valid or not; `begin` gives the cookies with which
    one starts, and answers change them. `refused` are the answers ("POST /publish 503") that say that what stands
    behind the server has failed. Returns how often each operation answered with each status.
    """
    _signed_in(schema.raw_schema)
    for number, link in enumerate(links):
        _declare(schema.raw_schema, number, link)
    seen: Counter[str] = Counter()
    faults: list[BaseException] = []

    class Way(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.cookies = begin()

        def before_call(self, case: schemathesis.Case) -> None:
            ready(case)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}}

        def after_call(self, response: Any, case: schemathesis.Case) -> None:
            super().after_call(response, case)
            seen[f"{case.operation.label} {response.status_code}"] += 1
            for line in response.headers.get("set-cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies.pop(name, None)
                    if morsel["max-age"] != "0":
                        self.cookies[name] = morsel.value

        def validate_response(self, response: Any, case: schemathesis.Case, **more: Any) -> None:
            expected = f"{case.operation.label} {response.status_code}" in refused
            failing = [checks.not_a_server_error] if expected else []
            left_out = [*_not_for(response), *excluded, *failing]
            try:
                case.validate_response(
                    response, excluded_checks=left_out, recorder=self.recorder, transport_kwargs=more or None
                )
            except BaseException as exc:
                faults.append(exc)
                raise

    for number in range(WAYS):
        way = seed(number)(get_state_machine_test(Way, settings=WAY, _min_steps=2))
        with suppress(FlakyStrategyDefinition):
            way()
        if faults:  # which the other one would hide
            raise faults[0]
    return seen


def guarded_operations(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(method, path) of everything that may not be asked for without a cookie or token, as the schema says."""
    return [
        (method, path)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if method in METHODS and operation.get("security") and {} not in operation["security"]
    ]


def _signed_in(schema: dict[str, Any]) -> None:
    """Take what a request needs to be let in out of the schema: the headers and cookies of these tests have it, and
    what happens without it is a test of its own (`guarded_operations`).
    """
    for operations in schema["paths"].values():
        for method in METHODS & operations.keys():
            operations[method].pop("security", None)


def _not_for(answer: Any) -> list[Callable[..., bool | None]]:
    """Too large is a refusal, too, though this check does not know it."""
    return [checks.negative_data_rejection] if answer.status_code == 413 else []


def _declare(schema: dict[str, Any], number: int, link: Link) -> None:
    method, path, status = link.source.split()
    to_method, to_path = link.target.split()
    reference = f"#/paths/{to_path.replace('~', '~0').replace('/', '~1')}/{to_method.lower()}"
    told: dict[str, Any] = {"operationRef": reference, "parameters": dict(link.parameters)}
    if link.body is not None:
        told["requestBody"] = link.body
    schema["paths"][path][method.lower()]["responses"][status].setdefault("links", {})[f"link{number}"] = told
