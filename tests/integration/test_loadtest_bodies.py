"""The load tester's bodies against the real server: accepted, answered alike, and checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from loadtest.answers import AnswerCheck, difference, record_expected
from loadtest.bodies import Body, BodyPool, pool_of_bodies, pool_of_rows
from loadtest.caller import Answer, BaseUrl, Caller
from loadtest.datatypes import DTYPES, Rows
from loadtest.dialects.choice import load_dialect
from loadtest.dialects.raw_template import RawTemplate
from loadtest.dialects.v2_json import V2Json
from loadtest.errors import BadAnswer, ModelUnknown, NoAnswer
from loadtest.row_counts import RowCounts
from loadtest.row_file import RowFile
from loadtest.server_model import ServerModel, learn_model, list_models
from loadtest.synthetic_rows import SyntheticRows
from tests.sample_models import predict, read_example
from tests.system import System, running_system
from tests.tiny_models import PATIENT, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ["breast_cancer", "crop_yield", "digits", "evapotranspiration", "fixed_batch"]
# Its graph takes an input that callers do not send: test_padded_rows.py has it.
SERVED = sorted([*MODELS, "soil_water"])
DIALECTS = ["v2-json", "v2-binary", "messagepack"]
# 60 bodies, 252 rows: a mix of sizes, a third of them edge rows.
BODIES = 60
ROWS = "1:0.8,17:0.2"
EDGE_SHARE = 0.33


# Answers what it was asked, so that the rows themselves are the expected outputs.
_ECHO = """
def predict(inputs):
    return dict(inputs)
"""
_JSON_DATATYPES = [name for name in DTYPES if name != "FP16"]


def write_echoes(models: Path) -> None:
    """Two models that echo every datatype: `echo` without FP16, which JSON does not carry."""
    declared = [f'{name}]\ndatatype = "{name}"\nshape = [-1, 2]' for name in _JSON_DATATYPES]
    declared.append('wide]\ndatatype = "FP64"\nshape = [-1]\nrange = [-1.7e308, 1.7e308]')
    declared.append('whole]\ndatatype = "INT64"\nshape = [-1]\nrange = [-1e19, 1e19]')
    declared.append('empty]\ndatatype = "FP32"\nshape = [-1, -1]\nnulls = "allow"')
    for model, sections in (
        ("echo", declared),
        ("echo_all", [*declared, 'FP16]\ndatatype = "FP16"\nshape = [-1, 3]\nrange = [0, 1e6]']),
    ):
        contract = [f"[{side}.{section}" for side in ("inputs", "outputs") for section in sections]
        write_version(models, model, pipeline=_ECHO, contract="\n".join([PATIENT, *contract]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echoing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    models = tmp_path_factory.mktemp("models")
    write_echoes(models)
    async with running_system(models) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[System]:
    """The queue's kind does not matter to a stranger: it is the embedded one."""
    async with running_system() as running:
        yield running


async def learned(system: System, model: str) -> ServerModel:
    return await asyncio.to_thread(learn_model, system.url, model)


async def make_pool(system: System, model: str, dialect: str, seed: int = 7) -> BodyPool:
    known = await learned(system, model)
    spoken = load_dialect(dialect, known)
    return pool_of_rows(
        SyntheticRows(known, seed=seed, edge_share=EDGE_SHARE),
        spoken,
        BaseUrl.parse(system.url).host_header,
        spoken.target(known),
        rows=RowCounts.parse(ROWS),
        count=BODIES,
        seed=seed,
    )


async def ask_all(system: System, pool: BodyPool) -> list[Answer]:
    def ask() -> list[Answer]:
        with Caller(system.url) as caller:
            return [caller.ask(request) for request in pool.requests]

    return await asyncio.to_thread(ask)


async def recorded(system: System, pool: BodyPool, **options: Any) -> BodyPool:
    return await asyncio.to_thread(record_expected, pool, system.url, **options)


def in_one(system: System, dialect: V2Json, known: ServerModel, rows: Rows) -> BodyPool:
    """A pool of one body with exactly these rows."""
    host_header, target = BaseUrl.parse(system.url).host_header, dialect.target(known)
    body = Body(dialect.request(host_header, target, rows), rows)
    return BodyPool(dialect, host_header, target, (body,), {})


def wrong(outputs: Rows | None) -> Rows:
    """The outputs with the last value of the first of them changed a little."""
    assert outputs is not None
    name = next(iter(outputs))
    changed = outputs[name].copy()
    changed.reshape(-1)[-1] += 1
    return {**outputs, name: changed}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", MODELS)
async def test_every_generated_body_is_accepted(served: System, model: str, dialect: str) -> None:
    pool = await make_pool(served, model, dialect)
    answers = await ask_all(served, pool)
    refused = [answer for answer in answers if answer.status != 200]
    assert (len(answers), refused) == (BODIES, [])


@pytest.mark.parametrize("dialect", ["v2-binary", "messagepack"])
@pytest.mark.parametrize("model", MODELS)
async def test_answers_are_equal_across_dialects(served: System, model: str, dialect: str) -> None:
    as_json = await make_pool(served, model, "v2-json")
    other = await make_pool(served, model, dialect)
    differences = []
    for body_json, body in zip(
        (await recorded(served, as_json)).bodies,
        (await recorded(served, other)).bodies,
        strict=True,
    ):
        assert body_json.expected is not None
        assert body.expected is not None
        differences.append(
            difference(body.expected, body_json.expected, 0, 0, hides_infinities=True)
        )
    assert [found for found in differences if found] == []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_rows_asked_alone_are_answered_the_same_in_one_body(
    served: System, dialect: str
) -> None:
    pool = await recorded(served, await make_pool(served, "crop_yield", dialect))
    check = AnswerCheck(pool)
    answers = await ask_all(served, pool)
    judged = [check(index, answer.body) for index, answer in enumerate(answers)]
    assert (judged, check.first_wrong) == ([True] * BODIES, None)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", MODELS)
async def test_a_wrong_expected_output_is_noticed_in_every_body(
    served: System, model: str, dialect: str
) -> None:
    pool = await recorded(served, await make_pool(served, model, dialect), row_by_row=False)
    altered = [replace(body, expected=wrong(body.expected)) for body in pool.bodies]
    check = AnswerCheck(replace(pool, bodies=tuple(altered)))
    answers = await ask_all(served, pool)
    judged = [check(index, answer.body) for index, answer in enumerate(answers)]
    assert (any(judged), check.wrong) == (False, BODIES)


@pytest.mark.parametrize(
    ("model", "dialect"),
    [("echo", "v2-json"), ("echo_all", "v2-binary"), ("echo_all", "messagepack")],
)
async def test_values_of_every_datatype_come_back_as_they_were_sent(
    echoing: System, model: str, dialect: str
) -> None:
    pool = await make_pool(echoing, model, dialect)
    echoed = [replace(body, expected=body.rows) for body in pool.bodies]
    # The values themselves: not even the last bit may differ.
    check = AnswerCheck(replace(pool, bodies=tuple(echoed)), rtol=0, atol=0)
    answers = await ask_all(echoing, pool)
    judged = [check(index, answer.body) for index, answer in enumerate(answers)]
    assert (judged, check.first_wrong) == ([True] * BODIES, None)


@pytest.mark.parametrize("model", MODELS)
async def test_recorded_outputs_are_what_the_model_itself_predicts(
    served: System, model: str
) -> None:
    known = await learned(served, model)
    # The graph of fixed_batch takes exactly so many rows.
    rows = SyntheticRows(known, seed=3, edge_share=0.2).draw(32).rows
    pool = await recorded(served, in_one(served, V2Json(), known, rows))
    assert pool.bodies[0].expected is not None
    assert difference(predict(model, rows), pool.bodies[0].expected) is None


async def test_rows_and_expected_outputs_of_a_file_are_answered_rightly(
    served: System, tmp_path: Path
) -> None:
    known = await learned(served, "crop_yield")
    rows = SyntheticRows(known, seed=5, edge_share=0).draw(50).rows
    header = ",".join(rows)
    lines = [",".join(str(array[index]) for array in rows.values()) for index in range(50)]
    table = tmp_path / "fields.csv"
    table.write_text("\n".join([header, *lines]))
    outputs = predict("crop_yield", rows)["yield"].tolist()
    answers = tmp_path / "yields.ndjson"
    answers.write_text("\n".join(json.dumps({"yield": value}) for value in outputs))
    dialect = V2Json()
    pool = pool_of_rows(
        RowFile(known, table, seed=1, expected=answers),
        dialect,
        BaseUrl.parse(served.url).host_header,
        dialect.target(known),
        rows=RowCounts.parse("4"),
        count=30,
    )
    check = AnswerCheck(pool)
    judged = [check(index, answer.body) for index, answer in enumerate(await ask_all(served, pool))]
    assert (judged, check.first_wrong) == ([True] * 30, None)


async def test_a_template_asks_the_same_question(served: System) -> None:
    known = await learned(served, "digits")
    body = (
        '{"inputs":[{"name":"pixels","datatype":"FP32","shape":[{{count}},8,8],'
        '"data":{{json:pixels}}}]}'
    )
    template = RawTemplate(
        path="/v2/models/{{model}}/infer", body=body, answers={"label": "outputs[0].data"}
    )
    host_header = BaseUrl.parse(served.url).host_header
    rows = SyntheticRows(known, seed=2).draw(5).rows
    request = template.request(host_header, template.target(known), rows)
    with Caller(served.url) as caller:
        answer = await asyncio.to_thread(caller.ask, request)
    labels = template.outputs(answer.body)["label"].tolist()
    assert labels == predict("digits", rows)["label"].tolist()


async def test_the_callers_own_bodies_are_sent_as_they_are(served: System, tmp_path: Path) -> None:
    known = await learned(served, "digits")
    example = json.dumps(read_example("digits")).encode()
    (tmp_path / "seven.json").write_bytes(example)
    pool = pool_of_bodies(tmp_path, V2Json(), "127.0.0.1", V2Json().target(known))
    answers = await ask_all(served, pool)
    assert ([answer.status for answer in answers], pool.requests[0].endswith(example)) == (
        [200],
        True,
    )


async def test_an_unknown_model_is_named_with_those_that_the_server_has(served: System) -> None:
    with pytest.raises(ModelUnknown) as raised:
        await learned(served, "weather")
    names = ", ".join(SERVED)
    said = str(raised.value)
    assert (
        said.startswith(f"{served.url}/v2/models/weather: status 404: "),
        said[-len(names) :],
    ) == (
        True,
        names,
    )


async def test_the_server_lists_its_models(served: System) -> None:
    assert sorted(await asyncio.to_thread(list_models, served.url)) == SERVED


async def test_the_learned_model_says_server_version_and_latency_target(served: System) -> None:
    known = await learned(served, "digits")
    assert (known.server["name"], known.latency_target_s, known.rows_fixed) == (
        "batchbridge",
        0.1,
        None,
    )


async def test_a_refused_row_cannot_become_an_expected_answer(served: System) -> None:
    known = await learned(served, "digits")
    rows = {"pixels": np.full((1, 8, 8), 17, dtype=np.float32)}
    with pytest.raises(BadAnswer, match="answered 400"):
        await recorded(served, in_one(served, V2Json(), known, rows))


async def test_a_port_without_server_is_named(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(NoAnswer, match=url):
        await asyncio.to_thread(learn_model, url, "digits")
