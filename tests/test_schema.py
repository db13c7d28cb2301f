"""The JSON Schema of verdicts holds for those of every kind and outcome, and for none that is damaged."""

import copy
import json
from functools import cache

import numpy as np
import pytest

from scd_analysis import Outcome, audit, audit_pair, exact_verdict, subjects, verdict_schema
from scd_analysis.cli.commands import run
from scd_analysis.errors import InputError
from scd_analysis.report.load import read_verdict
from tests.audit.test_pair import SHARP, arm
from tests.docs.verdict_schema import schema
from tests.evidence.decoders import random_tables
from tests.exact.test_exact_verdict import MODEL, ancestral, first_twice
from tests.json_schema import errors
from tests.net import stored
from tests.report.test_stored_verdicts import FULL

SCHEMA = verdict_schema()
LAW = random_tables(3, 4, 0.8, np.random.default_rng(3))
WRONG = lambda model, n, seed: np.zeros((n, 4), dtype=np.int64)  # noqa: E731


@cache
def verdicts():
    """Those of the net, as they were stored, and what is not among them, made here; by kind and outcome."""
    made = [exact_verdict(ancestral, MODEL), exact_verdict(first_twice, MODEL)]
    made += [exact_verdict(ancestral, MODEL, max_branches=1), FULL]
    quick = {"max_sequences": 200, "progress": False}
    made += [audit(WRONG, LAW, margin=0.1, **quick), audit(subjects.ancestral, LAW, epsilon=0.1, **quick)]
    made += [audit_pair(arm(), arm(), LAW, **quick), audit_pair(arm(), WRONG, LAW, **quick)]
    made += [audit_pair(WRONG, arm(), LAW, **quick), audit_pair(arm(), arm(law=SHARP), max_sequences=4, progress=False)]
    return [*stored.load("verdicts").values(), *(json.loads(one.to_json()) for one in made)]


def refused(value):
    return [*errors(value, SCHEMA, SCHEMA)]


@pytest.mark.slow
def test_verdicts_of_every_kind_and_outcome_are_what_it_says():
    assert [refused(one) for one in verdicts()] == [[]] * len(verdicts())
    assert {(one["record"].get("grade"), one["outcome"]) for one in verdicts()} >= {*KINDS}
    assert {outcome for _, outcome in KINDS} == {outcome.name for outcome in Outcome}
    assert schema() == SCHEMA


def test_what_was_stored_is_read_again():
    for one in verdicts():
        assert read_verdict(one).outcome.name == one["outcome"]


def places(value, at=()):
    """Every place in JSON, but for what is in a record, which says what it likes."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*at, key)
        if key != "record":
            yield from places(item, (*at, key))


def damaged(whole, place, change):
    out = copy.deepcopy(whole)
    part = out
    for key in place[:-1]:
        part = part[key]
    change(part, place[-1])
    return out


def replaced(by):
    return lambda part, key: part.__setitem__(key, by)


KINDS = [
    *(("samples", one) for one in ("NOT_REFUTED", "REFUTED", "INCONCLUSIVE")),
    *(("trace", one) for one in ("NOT_REFUTED", "REFUTED", "INCONCLUSIVE")),
    *(("exact", one) for one in ("EXACT", "REFUTED", "INCONCLUSIVE")),
    *(("pair", one) for one in ("NOT_REFUTED", "REFUTED", "CONTROL_REFUTED", "INCONCLUSIVE")),
    ("kernel", "NOT_REFUTED"),
    ("greedy", "REFUTED"),
]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_what_is_of_another_kind_is_refused_anywhere(kind):
    """By the schema and by the reader; a place of each of its kinds."""
    whole = next(one for one in verdicts() if (one["record"].get("grade"), one["outcome"]) == kind)
    whole = {name: value for name, value in whole.items() if name != "text"}
    named = {tuple("" if isinstance(key, int) else key for key in place): place for place in places(whole)}
    for place in named.values():
        odd = damaged(whole, place, replaced([[{}]] if place[-1] == "record" else {"odd": 1}))
        assert refused(odd), place
        if place[-1] != "sentence":
            with pytest.raises(InputError):
                read_verdict(odd)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("outcome",), "refuted"),
        (("log_e_value",), "3.5"),
        (("log_e_value",), None),
        (("num_sequences",), -1),
        (("num_sequences",), True),
        (("num_sequences",), 3.5),
        (("path", 0), [10]),
        (("path", 0), [10, 3.5, 1]),
        (("conditions", 0, "condition"), "luck"),
        (("findings", 0, "significant"), 1),
    ],
)
def test_what_is_not_known_is_refused(place, value):
    assert refused(damaged(json.loads(FULL.to_json()), place, replaced(value)))


def test_what_it_must_have_and_what_it_may_lack():
    whole = json.loads(FULL.to_json())
    needed = SCHEMA["$defs"]["Verdict"]["required"]
    assert {"outcome", "log_e_value", "alpha", "record"} <= set(needed)
    for name in needed:
        without = damaged(whole, (name,), lambda part, key: part.pop(key))
        assert refused(without)
        with pytest.raises(InputError, match=f"lacks {name}"):
            read_verdict(without)
    old = {name: whole[name] for name in needed} | {"of a later version": [1]}
    assert refused(old) == []
    assert read_verdict(old).outcome is Outcome.REFUTED


def test_the_command_prints_it(capsys):
    assert run(["schema"]) == (0, None)
    assert json.loads(capsys.readouterr().out) == SCHEMA
