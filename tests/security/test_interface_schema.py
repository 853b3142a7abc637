"""schemathesis: what the schema of the interface allows, and what it does not, sent to a real server."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest
import requests
import schemathesis
from helpers.dashboard import AUTH, KEY, serving
from helpers.fake_run import FakeRun
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stream.dashboard import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "3"))
"""For each route and mode."""
SETTINGS = settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
KNOWN = {"scan": "ncm622-cycled", "name": "global", "index": 1, "y": 3, "x": 4}
"""Values of the path that are there; otherwise nearly every answer is a 404."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeRun, str]]:
    run = FakeRun(tmp_path_factory.mktemp("run"), size=11, slices=2, clusters=True)
    run.advance(0.5)
    with serving(run) as url:
        yield run, url


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_answer_is_a_server_error_and_each_is_of_the_schema(
    served: tuple[FakeRun, str], mode: GenerationMode
) -> None:
    run, url = served
    schema = schemathesis.openapi.from_dict(create_app(run.directory, run.config, KEY).openapi())
    session, statuses = requests.Session(), Counter[int]()
    session.trust_env = False

    def send(case: schemathesis.Case, there: bool) -> None:
        if there:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
        answer = case.call(base_url=url, headers=dict(AUTH), session=session, timeout=60)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    for found in schema.exclude(path="/readyz").get_all_operations():  # which says 503 where nobody tends the run
        operation = found.ok()
        cases = operation.as_strategy(generation_mode=mode)
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():  # nothing can be wrong
            SETTINGS(seed(12)(given(case=cases, there=st.sampled_from([True, True, False]))(send)))()
    session.close()
    print(mode, dict(statuses))
    assert statuses[422] > 3
    assert mode is GenerationMode.NEGATIVE or (statuses[200] > 5 and statuses[202])
