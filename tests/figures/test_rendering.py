"""Files and command line: what is written, what ``--check`` sees, what a bad argument does, anybody's trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reference
from scd_analysis.errors import InputError
from scd_analysis.figures import Run, check, get_figure, render
from scd_analysis.figures.__main__ import run
from scd_analysis.figures.foreign import open_run
from scd_analysis.figures.provenance import settings_of
from scd_analysis.figures.rendering import write
from scd_analysis.figures.store import load
from scd_analysis.trace.trajectories import ages
from tests.figures.conftest import Patches, write_foreign

NAME = "hamming_by_lag"
FROM_TRACE = {
    "acceptance_lengths",
    "acceptance_trajectories",
    "collision_by_age",
    "collision_histograms",
    "collision_vs_tv",
    "entropy_acceptance",
    "hamming_by_lag",
    "nfe_vs_token_difference",
}


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def foreign_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foreign(tmp_path_factory.mktemp("foreign") / "run.zarr", laws=True, sequences=12)


@pytest.fixture(scope="module")
def gallery(foreign_trace: Path) -> Path:
    folder = foreign_trace.parent / "gallery"
    render(["hamming_by_lag", "nfe_vs_token_difference"], out=folder, trace=foreign_trace)
    return folder


@pytest.fixture
def copied(gallery: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gallery, tmp_path / "figures"))


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_figure_is_three_files_and_checks(runs: list[Run], tmp_path: Path) -> None:
    figure = get_figure(NAME)
    written = write(figure, figure.compute(runs), settings_of(runs, "trace", "abc"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    assert {path.suffix for path in written} == {".json", ".png", ".svg"}
    assert check([NAME], out=tmp_path) == {}
    kept = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert kept["settings"]["commit"] == "abc"
    assert kept["settings"]["bits_per_token_held_out"] == 1.2345
    assert {"model", "seed", "versions", "runs"} <= set(kept["settings"])
    with Image.open(tmp_path / f"{NAME}.png") as image:
        assert image.info["dpi"][0] >= 200
        assert image.info["Software"] == "scd-analysis"
    assert "<dc:date>" not in (tmp_path / f"{NAME}.svg").read_text()


def test_a_drawing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    figure = get_figure("hamming_by_lag")
    frame = figure.compute([]).rename(columns={"lag": "other"})
    frame.loc[0] = ["sjd", 1, 0.5, 0.4, 0.6, 3]
    with pytest.raises(KeyError):
        write(figure, frame, {}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_rendering_twice_gives_the_same_bytes(gallery: Path, foreign_trace: Path, tmp_path: Path) -> None:
    render(["hamming_by_lag"], out=tmp_path, trace=foreign_trace)
    for kind in ("json", "png", "svg"):
        assert (tmp_path / f"hamming_by_lag.{kind}").read_bytes() == (gallery / f"hamming_by_lag.{kind}").read_bytes()


def test_gallery_page_has_every_caption(gallery: Path) -> None:
    page = (gallery / "gallery.md").read_text()
    for name in ("hamming_by_lag", "nfe_vs_token_difference"):
        assert load(gallery / f"{name}.json").caption in page


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_passes_on_what_was_rendered(gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = status(capsys, "--check", "--out", str(gallery), "hamming_by_lag", "nfe_vs_token_difference")
    assert (code, out) == (0, "every figure is what its data draw\n")


def test_check_fails_on_another_number(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "nfe_vs_token_difference.json"
    content = json.loads(path.read_text())
    content["columns"]["nfe"][0] += 1
    figure = get_figure("nfe_vs_token_difference")
    path.write_text(json.dumps(content))
    stored = load(path)
    path.write_text(json.dumps(content | {"caption": figure.caption(stored.frame, stored.settings)}))
    code, _, err = status(capsys, "--check", "--out", str(copied), "hamming_by_lag", "nfe_vs_token_difference")
    assert code == 1
    assert "nfe_vs_token_difference.png" in err
    assert "pixels differ" in err
    assert "hamming_by_lag" not in err


def test_check_fails_on_a_touched_picture(copied: Path) -> None:
    path = copied / "hamming_by_lag.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[300:305, 300:305, :3] = (255, 0, 0)
    Image.fromarray(pixels).save(path)
    assert "25 pixels differ" in check(["hamming_by_lag"], out=copied)["hamming_by_lag"]


def test_check_fails_on_another_caption(copied: Path) -> None:
    path = copied / "hamming_by_lag.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"caption": "ten times faster"}))
    assert "caption" in check(["hamming_by_lag"], out=copied)["hamming_by_lag"]


@pytest.mark.parametrize("kind", ["json", "png", "svg"])
def test_check_fails_on_a_missing_file(copied: Path, kind: str) -> None:
    (copied / f"hamming_by_lag.{kind}").unlink()
    assert "missing" in check(["hamming_by_lag"], out=copied)["hamming_by_lag"]


def test_check_fails_on_a_file_that_is_no_frame(copied: Path) -> None:
    (copied / "hamming_by_lag.json").write_text('{"figure": 1')
    assert "not a stored frame" in check(["hamming_by_lag"], out=copied)["hamming_by_lag"]


# -- command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [(), ("--check",), ("--quick",)])
def test_unknown_name_is_one_line_and_two(capsys: pytest.CaptureFixture[str], option: tuple[str, ...]) -> None:
    code, out, err = status(capsys, "nope", *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: figure='nope' is not known; known: acceptance_lengths, ")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = status(capsys, "--list")
    assert code == 0
    assert len(out.splitlines()) >= 8
    assert json.loads(status(capsys, "--list", "--json")[1]).keys() >= FROM_TRACE


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = status(capsys, "--help")
    assert code == 0
    assert "--trace run.zarr" in out


@pytest.mark.parametrize(("content", "what"), [(None, "no such file"), ("hello", "not a Zarr version 3 store")])
def test_bad_trace_is_one_line_and_two(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, what: str
) -> None:
    path = tmp_path / "run.zarr"
    if content is not None:
        path.write_text(content)
    code, out, err = status(capsys, "--trace", str(path), "--out", str(tmp_path / "out"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert what in err
    assert not (tmp_path / "out").exists()


# -- anybody's trace -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_foreign_trace_gives_all_its_figures(
    foreign_trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = status(capsys, "--trace", str(foreign_trace), "--out", str(tmp_path), "--json")
    written = [Path(path).name for path in json.loads(out)]
    assert (code, err) == (0, "")
    assert set(written) == {f"{name}.{kind}" for name in FROM_TRACE for kind in ("json", "png", "svg")} | {"gallery.md"}
    assert check(sorted(FROM_TRACE), out=tmp_path) == {}
    couplings = set(load(tmp_path / "collision_histograms.json").frame["coupling"])
    assert couplings == {"independent", "maximal", "gumbel"}  # nobody said which: all three are compared


@pytest.mark.slow
def test_foreign_trace_without_laws_says_what_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_foreign(tmp_path / "bare.zarr.zip", laws=False, sequences=12)
    code, out, err = status(capsys, "--trace", str(path), "--out", str(tmp_path / "out"))
    assert code == 0
    alone = {"acceptance_lengths", "collision_by_age", "hamming_by_lag", "nfe_vs_token_difference"}
    assert {Path(line).stem for line in out.splitlines()} == {*alone, "gallery"}
    assert err.count("left out") == 4
    with pytest.raises(InputError, match="needs total_variation"):
        render(["collision_vs_tv"], out=tmp_path / "out", trace=path)


@pytest.mark.slow
def test_a_window_too_short_for_redrafts_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_foreign(tmp_path / "short.zarr", laws=True, window=2)  # a draft is committed one pass after it entered
    code, _, err = status(capsys, "--trace", str(path), "--out", str(tmp_path / "out"))
    assert code == 0
    assert "left out collision_histograms: the trace of 'mine' has no redraft of a redraft" in err


def test_comparison_cannot_come_from_one_trace(
    foreign_trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = status(capsys, "speedup_by_window", "--trace", str(foreign_trace), "--out", str(tmp_path))
    assert code == 2
    assert "figure 'speedup_by_window': compares decoders or needs a model, so --trace cannot draw it" in err


def test_default_folder_of_a_trace_is_not_the_gallery(
    foreign_trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = render(["hamming_by_lag"], trace=foreign_trace)
    assert {path.parent for path in written} == {Path("figures/run")}


def test_age_is_derived_as_the_reference_records_it() -> None:
    trace = reference.decode(Patches(), "scd-gs", window=5, num_sequences=4, progress=False).trace
    assert trace is not None
    derived = ages(trace["base"].values, trace["draft_token"].notnull().values)
    np.testing.assert_array_equal(derived, trace["age"].values)


def test_passes_are_counted_where_nobody_did(foreign_trace: Path) -> None:
    run = open_run(foreign_trace)
    np.testing.assert_array_equal(run.trace["nfe"].values, run.trace["base"].notnull().sum("iteration").values)
    assert run.label == "mine"
