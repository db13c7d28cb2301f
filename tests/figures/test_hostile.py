"""Somebody else's traces and folders: an error in one line or a figure, and no file of theirs touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr

from scd_analysis.errors import InputError
from scd_analysis.figures import __main__ as door
from scd_analysis.figures import check, render, rendering
from tests.figures.conftest import write_foreign

NAME = "hamming_by_lag"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foreign(tmp_path_factory.mktemp("hostile") / "run.zarr", laws=True, sequences=4)


@pytest.fixture
def copied(trace: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trace, tmp_path / "run.zarr"))


def attribute(path: Path, name: str, value: Any) -> None:
    """In both places: those of the group, and the consolidated ones are read from the same file."""
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"][name] = value
    file.write_text(json.dumps(content))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = door.run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", [f"{NAME}.png", f"{NAME}.json", "gallery.md"])
def test_a_users_file_is_named_and_kept(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("mine")
    code, out, err = run(capsys, "--trace", str(trace), "--out", str(tmp_path), NAME)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{name}: was not written by scd-analysis" in err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("run.zarr", "run"),
        ("run.a.zarr", "run.a"),
        ("run.b.zarr.zip", "run.b"),
        (".hidden.zarr", ".hidden"),
        ("plain", "plain"),
        ("x.zip", "x"),
    ],
)
def test_every_trace_has_a_folder_of_its_own(name: str, folder: str) -> None:
    assert rendering._default_out(Path("somewhere") / name) == Path("figures") / folder


def test_a_trace_without_a_name_asks_for_a_folder() -> None:
    with pytest.raises(InputError, match="--out"):
        rendering._default_out(Path("somewhere") / ".zarr")


@pytest.mark.parametrize("where", ["", "inside"])
def test_figures_are_not_written_into_the_trace(trace: Path, where: str) -> None:
    before = sorted(trace.iterdir())
    with pytest.raises(InputError, match="input"):
        render([NAME], out=trace / where, trace=trace)
    assert sorted(trace.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("label", [r"$\frac$", "[/bold]<script>x</script>", "\x1b[31m\u202e", "_", "名" * 300])
def test_a_decoder_of_any_name_is_drawn(copied: Path, tmp_path: Path, label: str) -> None:
    attribute(copied, "decoder", label)
    attribute(copied, "model", label)
    out = tmp_path / "out"
    render(["nfe_vs_token_difference"], out=out, trace=copied)
    assert check(["nfe_vs_token_difference"], out=out) == {}
    page = (out / "gallery.md").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "\x1b" not in page


def test_a_name_that_is_no_unicode_is_refused(copied: Path, tmp_path: Path) -> None:
    attribute(copied, "decoder", "\ud800")
    with pytest.raises(InputError, match="is not Unicode"):
        render(["nfe_vs_token_difference"], out=tmp_path / "out", trace=copied)
    assert not (tmp_path / "out").exists()


def _without(name: str) -> Callable[[Path], None]:
    return lambda path: shutil.rmtree(path / name)


def _set(name: str, value: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        array = zarr.open_array(str(path / name), mode="r+")
        array[...] = value

    return change


def _nan(name: str) -> Callable[[Path], None]:
    return _set(name, float("nan"))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "window=[]": lambda path: attribute(path, "window", []),
    "window=NaN": lambda path: attribute(path, "window", float("nan")),
    "vocab_size='3'": lambda path: attribute(path, "vocab_size", "3"),
    "seed=NaN": lambda path: attribute(path, "seed", float("nan")),
    "decoder={}": lambda path: attribute(path, "decoder", {"a": [float("inf")]}),
    "blocks=7": lambda path: attribute(path, "blocks", 7),
    "schema_version=[]": lambda path: attribute(path, "schema_version", []),
    "no draft_token": _without("draft_token"),
    "no base": _without("base"),
    "entropy NaN": _nan("entropy"),
    "total_variation NaN": _nan("total_variation"),
    "base far away": _set("base", 10**6),
    "token below zero": _set("draft_token", -7),
    "not JSON": lambda path: (path / "zarr.json").write_text("{" * 5000) and None,
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_trace_is_one_line_or_figures(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    DAMAGE[damage](copied)
    out = tmp_path / "out"
    code, _, err = run(capsys, "--trace", str(copied), "--out", str(out), NAME)
    assert "Traceback" not in err
    if code == 2:
        assert err.startswith("error: ")
        assert not out.exists()
    else:
        assert code == 0
        assert check([NAME], out=out) == {}
