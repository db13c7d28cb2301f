"""Runs are made once, found again, and made anew when what they depend on has changed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from numpy.testing import assert_array_equal

import reference
from scd_analysis.errors import InputError
from studies.gallery.exhibit import RunSpec
from studies.gallery.runs import RunStore
from tests.figures.conftest import Patches
from tests.gallery.conftest import make_store

SPEC = RunSpec("patches", "scd-mc", 3, 2)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods decoded so far."""
    calls: list[str] = []
    decode = reference.decode

    def count(model: object, method: str, **more: object) -> object:
        calls.append(method)
        return decode(model, method, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reference, "decode", count)
    return calls


def test_a_run_is_made_once(tmp_path: Path, counted: list[str]) -> None:
    first = make_store(tmp_path).get(SPEC)
    again = make_store(tmp_path).get(SPEC)
    assert counted == ["scd-mc"]
    assert_array_equal(first.trace["tokens"].values, again.trace["tokens"].values)
    assert first.settings["bits_per_token_held_out"] == 1.2345


def test_a_longer_run_serves_and_a_shorter_does_not(tmp_path: Path, counted: list[str]) -> None:
    store = make_store(tmp_path)
    short = store.get(SPEC).trace["tokens"].values
    store.prepare([RunSpec("patches", "scd-mc", 3, 4)])
    assert counted == ["scd-mc", "scd-mc"]
    cut = store.get(SPEC)
    assert len(counted) == 2
    assert cut.trace.sizes["sequence"] == cut.settings["num_sequences"] == 2
    assert_array_equal(cut.trace["tokens"].values, short)
    assert len(list(tmp_path.glob("*.zip"))) == 1  # the shorter run is not kept


def test_only_the_longest_of_a_kind_is_made(tmp_path: Path, counted: list[str]) -> None:
    make_store(tmp_path).prepare([SPEC, RunSpec("patches", "scd-mc", 3, 3), RunSpec("patches", "sjd", 3, 2)])
    assert sorted(counted) == ["scd-mc", "sjd"]


def test_other_weights_are_decoded_afresh(tmp_path: Path, counted: list[str]) -> None:
    make_store(tmp_path).get(SPEC)
    make_store(tmp_path, fingerprint=lambda name: "retrained").get(SPEC)
    assert len(counted) == 2


def test_an_interrupted_render_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, decode, calls = RunSpec("patches", "sjd", 3, 2), reference.decode, []

    def stop_at_sjd(model: object, method: str, **more: object) -> object:
        calls.append(method)
        if method == "sjd" and calls.count("sjd") == 1:
            (Path(str(more["out_path"]) + ".partial")).mkdir()
            raise KeyboardInterrupt
        return decode(model, method, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reference, "decode", stop_at_sjd)
    with pytest.raises(KeyboardInterrupt):
        make_store(tmp_path).prepare([SPEC, other])
    make_store(tmp_path).prepare([SPEC, other])
    assert calls == ["scd-mc", "sjd", "sjd"]  # what was there is not made again; what was half there is
    assert not list(tmp_path.glob("*.partial"))


def test_report_ends_at_the_whole(tmp_path: Path) -> None:
    heard: list[float] = []
    make_store(tmp_path, report=lambda item, share: heard.append(share)).prepare([SPEC, RunSpec("patches", "ar", 3, 2)])
    assert heard[0] == 0
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known: digits, photos"):
        RunStore(tmp_path).get(RunSpec("nope", "sjd", 3, 2))


@pytest.mark.slow
def test_two_jobs_work_in_two_processes_and_make_the_same_runs(tmp_path: Path) -> None:
    specs, seen = [SPEC, RunSpec("patches", "sjd", 3, 2)], tmp_path / "seen"
    seen.mkdir()

    def load(name: str) -> Patches:
        (seen / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while len(list(seen.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return Patches()

    together, alone = make_store(tmp_path / "two", jobs=2, load_model=load), make_store(tmp_path / "one")
    together.prepare(specs)
    assert len({path.name for path in seen.iterdir()} - {str(os.getpid())}) == 2
    alone.prepare(specs)
    assert {p.name for p in (tmp_path / "two").glob("*.zip")} == {p.name for p in (tmp_path / "one").glob("*.zip")}
    for spec in specs:
        one, other = alone.get(spec).trace, together.get(spec).trace
        assert one.drop_attrs().identical(other.drop_attrs())


def test_an_error_in_a_job_keeps_its_kind_and_its_words(tmp_path: Path) -> None:
    def load(name: str) -> Patches:
        raise InputError(f"model {name!r}: its own words")

    store = make_store(tmp_path, jobs=2, load_model=load)
    with pytest.raises(InputError, match=r"^model 'patches': its own words$"):
        store.prepare([SPEC, RunSpec("patches", "sjd", 3, 2)])
    store.load_model = lambda name: Patches()
    store.prepare([SPEC])  # its lock was let go of


def test_two_stores_make_a_run_once(tmp_path: Path) -> None:
    spec, made = RunSpec("patches", "sjd", 3, 2), []

    def store() -> RunStore:
        def load(name: str) -> Patches:
            made.append(name)
            return Patches()

        return RunStore(tmp_path, load_model=load, fingerprint=lambda name: "weights")

    stores = [store(), store()]
    threads = [threading.Thread(target=one._decode, args=(spec,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(list(tmp_path.glob("*.zip"))) == 1


def test_a_run_that_another_process_makes_is_waited_for_and_named(tmp_path: Path) -> None:
    spec = RunSpec("patches", "sjd", 3, 2)
    store = RunStore(tmp_path, load_model=lambda name: Patches(), fingerprint=lambda name: "weights", patience=0.1)
    with (
        FileLock(tmp_path / f".{store._stem(spec)}.lock", is_singleton=False),
        pytest.raises(InputError, match="another process has been making patches-sjd-w3-s0-"),
    ):
        store.get(spec)
    assert store.get(spec).trace.sizes["sequence"] == 2


def test_a_users_copy_in_the_cache_is_kept(tmp_path: Path) -> None:
    spec = RunSpec("patches", "sjd", 3, 2)
    store = RunStore(tmp_path, load_model=lambda name: Patches(), fingerprint=lambda name: "weights")
    stem = store._stem(spec)
    mine, older = tmp_path / f"{stem}n2-mine.zarr.zip", tmp_path / f"{stem}n2-{'0' * 12}.zarr.zip"
    for path in (mine, older):
        path.write_text("mine")
    store.get(spec)
    assert mine.read_text() == "mine"
    assert not older.exists()  # of other weights or of older code: never read again
