"""What is stored says how it was made, and is made anew where code has changed since."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from studies import campaign, store
from studies.campaign import Minutes, Result, commits_in, run, set_aside, stored

STUDY = """
import json, subprocess, sys
from pathlib import Path

head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
with Path("order").open("a") as order:
    order.write("NAME\\n")
if Path("broken").exists() and "NAME" == "second":
    sys.exit(3)
result = {"question": "?", "command": "python -m studies.NAME", "device": "cpu", "commit": head, "rows": []}
Path("studies/results/NAME.json").write_text(json.dumps(result))
"""
NAMES = ("exact_laws", "second", "slow")


def git(*arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Three studies, of which one looks at the clock, with a result each that nobody knows the commit of."""
    place = tmp_path / "checkout"
    results = place / "studies" / "results"
    results.mkdir(parents=True)
    for name in NAMES:
        text = STUDY.replace("NAME", name) + ("from time import perf_counter\n" if name == "slow" else "")
        (place / "studies" / f"{name}.py").write_text(text)
        content = {"command": f"python -m studies.{name}", "device": "cpu", "commit": "0000000"}
        (results / f"{name}.json").write_text(json.dumps(content))
    (place / "studies" / "__init__.py").touch()
    (place / ".gitignore").write_text("build\norder\nbroken\n__pycache__\n")
    monkeypatch.chdir(place)
    for module in (campaign, store):
        monkeypatch.setattr(module, "ROOT", place)
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    return place


def asked(place):
    campaign.has_changed_since.cache_clear()
    old = [result for result in stored(place / "studies" / "results") if not result.stands]
    (place / "order").unlink(missing_ok=True)
    failed = run(old, 2, Minutes(place / "studies", place / "build"))
    ran = (place / "order").read_text().split() if old else []
    return ran, failed


def test_only_what_does_not_stand_is_made_first_what_is_read_and_last_what_is_timed(checkout, capsys):
    (checkout / "broken").touch()
    assert asked(checkout) == (["exact_laws", "second", "slow"], ["second"])
    said = capsys.readouterr().out
    assert "3 results to be made: about 0 min, and 3 of which it is not known" in said
    assert "second: failed with status 3; see" in said
    git("add", ".")
    git("commit", "-m", "results are no code")
    (checkout / "broken").unlink()
    assert asked(checkout) == (["second"], [])
    assert asked(checkout) == ([], [])
    kept = json.loads((checkout / "studies" / "minutes.json").read_text())
    assert [row["result"] for row in kept["rows"]] == sorted(NAMES)
    (checkout / "studies" / "second.py").write_text(STUDY.replace("NAME", "second") + "# other code\n")
    assert asked(checkout)[0] == ["exact_laws", "second", "slow"]  # not committed yet is changed, too
    git("add", ".")
    git("commit", "-m", "other code")
    assert (
        store.commit()
        == subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    assert asked(checkout)[0] == ["exact_laws", "second", "slow"]
    assert asked(checkout) == ([], [])


def test_rows_of_other_code_are_set_aside_and_rows_of_this_stay(checkout):
    (checkout / "build").mkdir()
    for name, made_by in (("second", store.commit()), ("slow", "0000000")):
        (checkout / "build" / f"{name}.rows.jsonl").write_text(
            json.dumps({"x": 1, "commit": made_by}) + '\n{"x": 2, "co'
        )
    campaign.has_changed_since.cache_clear()
    (moved,) = set_aside(checkout / "build")
    assert moved.name == "slow.rows.jsonl.of-0000000"
    assert sorted(path.name for path in (checkout / "build").iterdir()) == ["second.rows.jsonl", moved.name]
    (checkout / "studies" / "new.py").touch()
    assert store.commit().endswith("+")


def test_one_row_of_another_commit_is_enough():
    content = {"commit": "a", "rows": [{"commit": "a"}, {"traces_commit": "b", "deep": [{"commit": "c"}]}]}
    assert sorted(set(commits_in(content))) == ["a", "b", "c"]
    assert Result("none", "python -m studies.power", "cpu", ()).stands is False


def test_every_stored_result_says_what_repeats_it():
    found = {result.name: result for result in stored()}
    assert next(iter(found)) == "exact_laws"
    assert {result.name for result in found.values() if result.device != "cpu"} == {"bench_cuda"}
    for result in found.values():
        assert result.commits
        program, *others = result.words
        if program == sys.executable:
            assert others[0] == "-m"
            assert find_spec(others[1]) is not None
        else:
            assert program == "make"
            assert f"{others[0]}: " in (Path(__file__).parents[1] / "Makefile").read_text()
    assert {name for name in found if name.startswith("bench_")} <= {r.name for r in found.values() if r.is_timed}
    assert not found["power"].is_timed


def test_a_result_is_stored_with_the_command_that_was_run(monkeypatch, tmp_path):
    spec = type("Spec", (), {"name": "studies.power"})
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    monkeypatch.setattr(sys, "argv", ["power.py", "--fresh", "--repeats", "3"])
    made = json.loads(store.save("power", "?", {}, tmp_path).read_text())
    assert made["command"] == "python -m studies.power --repeats 3"
    spec.name = "pytest.__main__"
    assert json.loads(store.save("power", "?", {}, tmp_path).read_text())["command"] == "python -m studies.power"


ENDING = """
import os, sys
from studies.store import run_main

def main():
    if sys.argv[1] == "other":
        read, write = os.pipe()
        os.close(read)
        os.write(write, b"x")
    for _ in range(10_000):
        print("a row")

run_main(main)
"""


@pytest.mark.parametrize(("what", "lines", "status"), [("own", 1, 1), ("own", 10_000, 0), ("other", 10_000, 1)])
def test_a_reader_that_has_gone_ends_a_study_without_a_word_and_nothing_else_does(what, lines, status):
    command = [sys.executable, "-c", ENDING, what]
    study = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(lines):
        study.stdout.readline()
    study.stdout.close()
    with study.stderr as errors:
        said = errors.read()
    assert study.wait() == status
    assert ("BrokenPipeError" in said) == (what == "other"), said
