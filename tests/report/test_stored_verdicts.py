"""Verdicts as files of other people: read by their declared types, refused in one line, shown as they are read."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from scd_analysis import Outcome, Verdict
from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Finding, Size
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.report import load as module
from scd_analysis.report import render, typed, write_report
from scd_analysis.report.load import load_verdict, read_verdict
from scd_analysis.report.markup import element
from tests.report.test_page import Reader

FULL = Verdict(
    outcome=Outcome.REFUTED,
    log_e_value=float("inf"),
    alpha=1e-6,
    num_sequences=20,
    num_tokens=100,
    resolution=0.3,
    findings=(Finding("temperature", "colder", 5.0, True), Finding("rank", "more probable", 3.5, False)),
    record={"resolutions": {"one": 0.3}, "resolution_wanted": 0.2, "seed": 0, "deep": [[{"a": None}]]},
    conditions=(ConditionReport(Condition.TARGET, "broken", 14.5, 100, None, "another law"),),
    diagnosis=Diagnosis(Condition.TARGET, "another law", 3, None, 7, Size(0.1, 0.2, "the laws"), ("colder",), 2.5),
    certificate=Certificate(0.0, 0.4, 0.05, 20, "the first token"),
    path=((10, 3.5), (20, float("inf"))),
)
STORED = json.loads(FULL.to_json())
NEEDED = ("outcome", "log_e_value", "alpha", "num_sequences", "num_tokens", "resolution", "findings", "record")


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(FULL.to_json())
    assert load_verdict(tmp_path / "v.json") == FULL
    old = {name: STORED[name] for name in NEEDED} | {"of a later version": [1]}
    assert read_verdict(old) == dataclasses.replace(FULL, conditions=(), diagnosis=None, certificate=None, path=())


def changed(*place: Any, to: Any) -> Any:
    out = copy.deepcopy(STORED)
    part = out
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = to
    return out


BAD = [
    (("findings", 1, "log_e_value"), "x", r"verdict\.findings\[1\]\.log_e_value = 'x': must be a number"),
    (("findings", 1, "log_e_value"), "3.5", r"log_e_value = '3.5': must be a number"),
    (("findings", 1, "log_e_value"), float("nan"), "log_e_value = nan: must be a number"),
    (("findings", 1, "log_e_value"), 10**400, r"log_e_value = 10+\.\.\.0+: is beyond 1e\+15"),
    (("findings", 0, "significant"), 1, r"findings\[0\]\.significant = 1: must be true or false"),
    (("findings", 0, "message"), None, r"findings\[0\]\.message = None: must be a string"),
    (("findings", 0, "name"), "x" * 200_000, "must be a string of at most 100,000 characters"),
    (("findings",), {"a": 1}, r"findings = {'a': 1}: must be a list"),
    (("findings",), ["x"], r"findings\[0\] = 'x': must be an object"),
    (("findings",), [{}], r"findings\[0\]: lacks name"),
    (("findings",), [{}] * 20_000, "findings has 20,000 entries: at most 10,000 are read"),
    (("num_sequences",), True, "num_sequences = True: must be a whole number"),
    (("num_sequences",), 3.0, "num_sequences = 3.0: must be a whole number"),
    (("num_tokens",), -1, "num_tokens = -1: must be a whole number, 0 or more"),
    (("alpha",), 0, "alpha = 0.0: must be at least 1e-300"),
    (("alpha",), 1, "alpha = 1.0: must be at least 1e-300 and below 1"),
    (("resolution",), "inf", "resolution = inf: must lie between 0 and 1"),
    (("outcome",), "refuted", "outcome = 'refuted': must be one of REFUTED"),
    (("outcome",), ["REFUTED"], r"outcome = \['REFUTED'\]: must be one of"),
    (("path", 1), [20], r"path\[1\] = \[20\]: must have 2 entries"),
    (("path", 1, 0), "20", r"path\[1\]\[0\] = '20': must be a whole number"),
    (("path",), [[1, 0.0]] * 20_000, "path has 20,000 entries"),
    (("conditions", 0, "condition"), "luck", r"conditions\[0\]\.condition = 'luck': must be one of declared-law"),
    (("conditions", 0, "status"), "fine", r"conditions\[0\]\.status = 'fine': must be one of broken"),
    (("diagnosis", "size", "high"), -1, r"diagnosis\.size: low = 0\.1 is above high = -1\.0"),
    (("diagnosis", "evidence"), [1], r"diagnosis\.evidence\[0\] = 1: must be a string"),
    (("certificate", "delta"), 1, r"certificate\.delta = 1\.0: must lie strictly"),
    (("certificate", "low"), 0.5, r"certificate: low = 0\.5, high = 0\.4: no interval"),
    (("record",), [], r"record = \[\]: must be an object"),
    (("record", "resolutions"), {"one": "x"}, r"record\.resolutions\['one'\] = 'x': must be a number"),
    (("record", "resolutions"), {"one": [1]}, r"record\.resolutions\['one'\] = \[1\]: must be a number"),
    (("record", "resolutions"), 3, r"record\.resolutions = 3: must be an object"),
]


@pytest.mark.parametrize(("place", "value", "words"), BAD, ids=lambda x: str(x)[:30])
def test_a_wrong_field_is_named(place: tuple[Any, ...], value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_verdict(changed(*place, to=value))
    assert len(str(caught.value)) < 500


def nested(depth: int) -> Any:
    out: Any = 0
    for _ in range(depth):
        out = [out]
    return out


def test_what_is_deep_is_refused_before_it_overflows() -> None:
    render(changed("record", "deep", to=nested(typed.DEEPEST - 2)))
    with pytest.raises(InputError, match=r"verdict\.record: has lists or objects in each other, more than 32 deep"):
        render(changed("record", "deep", to=nested(typed.DEEPEST)))


FILES = [
    (b"[" * 200_000, "v.json: is not JSON that can be read"),
    (b'{"alpha": 1' + b"0" * 5_000 + b"}", "v.json: is not JSON .Exceeds the limit"),
    (b'{"alpha": 1, "alpha": 2}', "v.json: is not JSON .the key 'alpha' comes twice"),
    (b'{"outcome": "\xff"}', "v.json: is not UTF-8"),
    (b"3", "v.json: not a verdict .verdict = 3: expected"),
    (b"", "v.json: is not JSON"),
    (b" " * (module.MOST_BYTES + 1), "v.json: is larger than 8,388,608 bytes"),
]


@pytest.mark.parametrize(("raw", "words"), FILES, ids=[words[8:30] for _, words in FILES])
def test_a_bad_file_is_named(raw: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_bytes(raw)
    with pytest.raises(InputError, match=words):
        load_verdict(tmp_path / "v.json")


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.json"):
        with pytest.raises(InputError, match=f"{name}: is not a plain file"):
            load_verdict(tmp_path / name)


def test_a_mark_of_the_byte_order_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(FULL.to_json(), encoding="utf-8-sig")
    assert load_verdict(tmp_path / "v.json") == FULL


# -- mutations -------------------------------------------------------------------------------------------------------

ATOMS = [None, True, -1, 0, 7, 2**70, 1e308, -1e308, 1e-320, float("nan"), float("inf"), "inf", "x", "\ud800\x1b",
         "</script>", "", [], {}, [[]], [0], -0.5, "EXACT", "target", {"a": [1]}]  # fmt: skip


def mutated(value: Any, rng: random.Random) -> Any:
    """Change one thing at any depth."""
    if isinstance(value, (list, dict)) and value and rng.random() < 0.85:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        out = value.copy()
        out[key] = mutated(value[key], rng)
        if rng.random() < 0.1:
            del out[key]
        return out
    return rng.choice(ATOMS)


def load(path: Path) -> Verdict | str:
    """The verdict, or what the error says."""
    try:
        return load_verdict(path)
    except InputError as error:
        return str(error)


@pytest.mark.slow
def test_a_changed_verdict_is_read_or_refused(tmp_path: Path) -> None:
    """What is read can be shown, and written again; every tenth as a page too."""
    rng, read = random.Random(0), 0
    path = tmp_path / "v.json"
    for i in range(300):
        path.write_text(json.dumps(mutated(STORED, rng)))
        verdict = load(path)
        if isinstance(verdict, str):
            assert verdict.startswith(f"{path}: ")
            assert "\n" not in verdict
            continue
        read += 1
        assert read_verdict(json.loads(verdict.to_json())).outcome is verdict.outcome
        assert verdict.outcome.name in str(verdict)
        if i % 10 == 0:
            write_report(tmp_path / "r.html", verdict)
    assert 20 < read < 200


# -- what is shown ---------------------------------------------------------------------------------------------------

HOSTILE = "</script><svg/onload=alert(1)>&quot;'\"\u202e\x1b[31m\x00\ud800\u2066]]><!--"


def hostile(value: Any) -> Any:
    """The same, with every string that is no name of ours hostile."""
    if isinstance(value, str) and not isinstance(value, Condition):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(hostile(item) for item in value)
    if isinstance(value, dict):
        return {HOSTILE if key == "one" else key: hostile(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: hostile(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "status"}
        )
    return value


@pytest.mark.slow
def test_no_string_of_a_verdict_or_trace_is_obeyed(hand: xr.Dataset, tmp_path: Path) -> None:
    verdict = hostile(FULL)
    named = hand.assign_attrs(dict.fromkeys(("decoder", "method", "model", "note", "seed", "device"), HOSTILE))
    kept = json.loads(verdict.to_json())
    for given, trace, title in ((verdict, named, None), (kept, None, HOSTILE), (None, named, None)):
        shown = write_report(tmp_path / "r.html", given, trace, title=title).read_text(encoding="utf-8")
        read = Reader(shown)
        assert not read.open
        assert not {name for _, attributes in read.elements for name in attributes if name.startswith("on")}
        assert sum(tag == "script" for tag, _ in read.elements) <= 2  # its data and its script
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
        assert "\\u202e\\u001b[31m" in "".join(read.text)


def test_markup_spells_what_would_be_obeyed() -> None:
    said = element("p", "a\u202eb\x07\ud800\tc\n", title="\u2066\x85")
    assert said == '<p title="\\u2066\\u0085">a\\u202eb\\u0007\\ud800\tc\n</p>'
    unusual = "日本語 עברית 👩‍👩‍👧 é"  # right as it is: joiners and other scripts are no commands
    assert element("p", unusual) == f"<p>{unusual}</p>"
