"""Adding is one file: what CONTRIBUTING says of a stranger's additions, tried on a copy of the two packages.

Each addition is one file that is put into its folder, or a word in one file, and nothing else is touched. The copy is
then used as anybody would use it, in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import reference.methods
from reference import METHODS
from scd_analysis.audit.adapters.registry import registry
from scd_analysis.audit.conditions import PROCESSES
from scd_analysis.audit.rules import RULES
from scd_analysis.common.discovery import by_name, held, stated
from scd_analysis.errors import InputError

ROOT = Path(__file__).parents[1]

FAULT = '''
"""Drafts have an even number four times as often, and the target law is declared."""
import torch
from reference.broken.fault import Fault
from reference.drafting import DrawnFrom
from scd_analysis.conditions import Condition


class Even(DrawnFrom):
    def laws(self, target_probs, previous_probs):
        weights = target_probs * (4 - 3 * (torch.arange(target_probs.shape[-1], device=target_probs.device) % 2))
        return weights / weights.sum(-1, keepdim=True), target_probs


FAULT = Fault("of-mine", Condition.DECLARED_LAW, "drafts have even numbers too often", "made up",
              Even())
'''
PROCESS = '''
"""Drafts have even numbers too often."""
import numpy as np
from scd_analysis.audit.bets import Bet, Process, Rank, leaning
from scd_analysis.audit.observations.drafts import drafts
from scd_analysis.conditions import Condition


def even(batch):
    return np.broadcast_to(np.arange(batch.target_probs.shape[-1]) % 2 * -2.0 + 1, batch.target_probs.shape)


PROCESSES = (
    Process("even-drafts", Condition.DECLARED_LAW, drafts,
            (Bet("even", "even drafts are drawn too often", "odd drafts are drawn too often", even),),
            Rank.OF_THE_DRAFT, leaning()),
)
'''
RULE = '''
"""Modified rejection sampling, of which two things are looked at."""
from scd_analysis.audit.conditions import declared_law, verification
from scd_analysis.audit.rules.rule import Group, Rule

RULE = Rule("of-mine", "a rule of somebody's own", (Group((declared_law.DRAFTS, verification.ACCEPTANCE)),), (), ())
'''
ADAPTER = '''
"""A decoder that gives its tokens backwards."""
ADAPTERS = {"backwards": "backwards"}


def backwards(function):
    """Make a subject of a function that returns sequences from the end."""
    return lambda model, num_sequences, seed: function(model, num_sequences, seed)[:, ::-1]
'''
DRAFTING = '''
"""A drafting rule: the token that the uniform variate's mirror image draws."""
from dataclasses import dataclass
from reference.drafting import Draft
from reference.draws import inverse_cdf
from reference.methods.method import Method, Named
from reference.plain_forms import specifies


@dataclass(frozen=True)
class Mirrored:
    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep):
        return Draft(inverse_cdf(sweep.target_probs, 1 - sweep.uniform), sweep.target_probs)

    @specifies("draft")
    def draft_one(self, slot):
        return slot.draw(slot.target), slot.target


NAMED = Named(Method("of-mine", Mirrored()))
'''
BET = (
    "        *TO_THE_TARGET,\n",
    '        *TO_THE_TARGET,\n        Bet("of-mine", "more", "less", number, low=0.0),\n',
)

USED = """
import json
import numpy as np
import scd_analysis, reference, reference.subjects
from reference.broken import get_fault
from reference.plain import plain_decoder
from scd_analysis import subjects
from scd_analysis.audit.conditions import PROCESSES
from scd_analysis.audit.rules import RULES
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop

model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
small = reference.TabularModel.random(vocab_size=2, num_tokens=2, concentration=0.7, seed=0)


def judged(subject, n, **more):
    return scd_analysis.audit(subject, model, alpha=1e-4, max_sequences=n, progress=False, **more)


def decoded(method):
    return lambda model, n, seed: reference.decode(model, method, 3, n, seed, record="laws", progress=False).trace


wrong = get_fault("of-mine").traced()
fault, right = judged(wrong, 2000, rule="mrs"), judged(decoded("sjd"), 64, rule="mrs")
ruled = [judged(wrong, 2000, rule="of-mine"), judged(decoded("sjd"), 64, rule="of-mine")]
named = reference.get_method("of-mine")
law = scd_analysis.exact_law(as_loop(plain_decoder(small, named, 2)), intercept=False)
turned = lambda model, n, seed: np.asarray(subjects.ancestral(model, n, seed))[:, ::-1]
print(json.dumps({
    "file": scd_analysis.__file__,
    "fault": [fault.outcome.name, fault.condition, any(f.name == "even-drafts" for f in fault.findings)],
    "right": right.outcome.name,
    "processes": [p.name for p in PROCESSES],
    "arms": [arm for arm in right.record["bettor_weights"] if "drafts/" in arm],
    "rules": [list(RULES), *([verdict.outcome.name, verdict.rule] for verdict in ruled)],
    "drafting": [judged(decoded("of-mine"), 64, rule="of-mine").outcome.name,
                 law.total_variation(exact_target_law(small)),
                 list(reference.METHODS), list(reference.subjects.of_mine(model, 2, 0).shape)],
    "adapter": [list(subjects.registry), judged(subjects.backwards(turned), 64).outcome.name,
                judged(subjects.backwards(subjects.ancestral), 3000).outcome.name],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the house does once a file of each kind was added."""
    house = tmp_path_factory.mktemp("house")
    for name in ("scd_analysis", "reference"):
        shutil.copytree(ROOT / name, house / name, ignore=shutil.ignore_patterns("weights"))
    for path, text in {
        "reference/broken/of_mine.py": FAULT,
        "scd_analysis/audit/conditions/of_mine.py": PROCESS,
        "scd_analysis/audit/rules/of_mine.py": RULE,
        "scd_analysis/audit/adapters/of_mine.py": ADAPTER,
        "reference/methods/of_mine.py": DRAFTING,
    }.items():
        (house / path).write_text(text)
    condition = house / "scd_analysis/audit/conditions/declared_law.py"
    assert condition.read_text().count(BET[0]) == 1
    condition.write_text(condition.read_text().replace(*BET))
    environment = {**os.environ, "PYTHONPATH": str(house), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", USED], cwd=house, capture_output=True, text=True, timeout=300, env=environment
    )
    assert not done.returncode, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert Path(said["file"]).is_relative_to(house)
    return said


@pytest.mark.slow
def test_a_planted_fault_is_one_file(found: dict[str, Any]) -> None:
    assert found["fault"][:2] == ["REFUTED", "declared-law"]


@pytest.mark.slow
def test_a_process_is_one_file_and_changes_nobody_elses_place(found: dict[str, Any]) -> None:
    """It finds the fault beside those that were there, and the right decoder stands."""
    assert found["processes"] == [*(process.name for process in PROCESSES), "even-drafts"]
    assert found["fault"][2]
    assert found["right"] != "REFUTED"


@pytest.mark.slow
def test_a_bet_is_one_file(found: dict[str, Any]) -> None:
    assert [arm for arm in found["arms"] if arm.startswith("drafts/") and "of-mine" in arm]


@pytest.mark.slow
def test_an_exact_rule_is_one_file(found: dict[str, Any]) -> None:
    names, falls, stands = found["rules"]
    assert names == [*RULES, "of-mine"]
    assert (stands[0] != "REFUTED", stands[1]) == (True, "of-mine")
    assert falls == ["REFUTED", "of-mine"]


@pytest.mark.slow
def test_a_drafting_rule_and_its_named_method_are_one_file(found: dict[str, Any]) -> None:
    """Its decoder stands, its exact law is the target's, and it is found by its name and as a subject."""
    outcome, gap, names, shape = found["drafting"]
    assert outcome != "REFUTED"
    assert gap < 1e-12
    assert names == [*METHODS, "of-mine"]
    assert shape == [2, 4]


@pytest.mark.slow
def test_an_adapter_is_one_file(found: dict[str, Any]) -> None:
    """Besides its example in ``tests/audit/test_adapters.py``, without which the suite fails."""
    names, right, wrong = found["adapter"]
    assert names == sorted([*registry, "backwards"])
    assert right != "REFUTED"
    assert wrong == "REFUTED"


def test_what_is_held_and_what_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules without the name are left out, and what is stated is read without running anything."""
    folder = tmp_path / "box_of_mine"
    folder.mkdir()
    for name, text in {"__init__": "", "b": "X = 2", "a": "X = {'k': 'v'}", "c": "Y = 3"}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(held("box_of_mine", [str(folder)], "X").items()) == [("a", {"k": "v"}), ("b", 2)]
    (folder / "d.py").write_text("X = ('d',)\nraise RuntimeError")
    assert list(stated([str(folder)], "X").items()) == [("a", {"k": "v"}), ("b", 2), ("d", ("d",))]
    with pytest.raises(RuntimeError):
        held("box_of_mine", [str(folder)], "X")


def test_two_of_one_name_are_an_error() -> None:
    with pytest.raises(InputError, match="processes: two are named 'drafts'"):
        by_name((PROCESSES[0], PROCESSES[0]), "processes")


def test_rules_and_methods_say_their_places_without_a_hole() -> None:
    """So that a place that is lost shows; two of one are an error where they are found."""
    methods = held(reference.methods.__name__, reference.methods.__path__, "NAMED").values()
    assert sorted(one.place for one in methods) == list(range(len(METHODS)))
    assert [rule.place for rule in RULES.values()] == list(range(len(RULES)))
