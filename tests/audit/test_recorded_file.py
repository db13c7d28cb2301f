"""Files of tokens with log-probabilities: whole laws, the most probable, none; and what is said of bad ones.

By hand, of two listed out of four tokens with probabilities .5, .3, .1, .1: token 1 has rank 1, tokens 2 and 3 are both
"none of them", rank 2, with probability .2.
"""

import json
import sys

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.errors import InputError, LawError
from scd_analysis.subjects import ancestral, recorded, recorded_file
from tests.evidence.decoders import Tables, random_tables
from tests.statistics import ledger

V, N = 5, 3
TABLES = random_tables(V, N, 0.8, np.random.default_rng(3))
STANDS = ledger("recorded files: ancestral samples are not refuted at 1e-7", 3e-7)
FINDS = ledger("recorded files: sharper samples are refuted", 1e-7)


def rows(tokens, kind, listed=2):
    """A file's rows, as an engine would write them."""
    laws = np.log(TABLES.laws(tokens)[:, :N])
    out = []
    for own, law in zip(tokens.tolist(), laws, strict=True):
        order = np.argsort(-law, axis=1)[:, :listed]
        top = np.take_along_axis(law, order, axis=1)
        if kind == "none":
            out.append({"tokens": own})
        elif kind == "all":
            out.append({"tokens": own, "logprobs": law.tolist(), "prompt": "not looked at"})
        elif kind == "lists":
            out.append({"tokens": own, "top_tokens": order.tolist(), "top_logprobs": top.tolist()})
        else:  # engines add the drawn token where it is not among the listed
            pairs = [{**dict(zip(map(str, o), t, strict=True)), str(x): float(law[j][x])}
                     for j, (x, o, t) in enumerate(zip(own, order.tolist(), top.tolist(), strict=True))]  # fmt: skip
            out.append({"tokens": own, "top_logprobs": pairs})
    return out


def write(path, content):
    path.write_text("\n".join(json.dumps(row) for row in content) + "\n")
    return path


@pytest.fixture(scope="module")
def drawn():
    return ancestral(TABLES, 500, 0)


@pytest.fixture(scope="module")
def sharper():
    sharp = [row**1.7 for row in TABLES.rows]
    return ancestral(Tables(tuple(row / row.sum(axis=1, keepdims=True) for row in sharp)), 1_500, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all", "lists", "pairs"])
def test_right_sequences_stand_and_wrong_ones_do_not(kind, drawn, sharper, tmp_path):
    verdict = audit(write(tmp_path / "right.jsonl", rows(drawn, kind)), alpha=1e-7, progress=False)
    assert verdict.outcome is not Outcome.REFUTED
    assert verdict.num_sequences == len(drawn)
    wrong = write(tmp_path / "wrong.jsonl", rows(sharper, kind, listed=3))
    assert audit(wrong, alpha=1e-7, progress=False).outcome is Outcome.REFUTED


def test_the_file_says_what_the_model_says(drawn, tmp_path):
    path = write(tmp_path / "all.jsonl", rows(drawn, "all"))
    target = recorded_file(path).target_model
    batch = target.batch(drawn[:100], np.random.default_rng(0))
    np.testing.assert_allclose(batch.target_probs, TABLES.laws(drawn[:100])[:, :N], atol=1e-12)
    law, what = target.countable_law()
    np.testing.assert_allclose(law, TABLES.rows[0][0], atol=1e-12)
    assert what == "the first token"
    with pytest.raises(InputError, match="are not those of the file"):
        target.batch(drawn[:100], np.random.default_rng(0))  # these were the first hundred


@pytest.mark.slow
def test_a_file_without_laws_serves_with_a_model(drawn, tmp_path):
    path = write(tmp_path / "none.jsonl", rows(drawn, "none"))
    with pytest.raises(InputError, match=r"model = None: .* what brings its laws along"):
        audit(path)
    for source in (path, write(tmp_path / "pairs.jsonl", rows(drawn, "pairs"))):
        found = audit(str(source), TABLES, progress=False)
        assert found.log_e_value == audit(recorded(drawn), TABLES, progress=False).log_e_value


def test_ranks_by_hand(tmp_path):
    law = np.log([0.5, 0.3, 0.1, 0.1])
    top = {"0": law[0], "1": law[1]}
    content = [{"tokens": [x], "top_logprobs": [{**top, str(x): law[x]}]} for x in (1, 2, 3, 0)]
    subject = recorded_file(write(tmp_path / "t.jsonl", content))
    assert subject(subject.target_model, 4, 0).tolist() == [[1], [2], [2], [0]]
    batch = subject.target_model.batch(np.array([[1], [2], [2], [0]]), np.random.default_rng(0))
    np.testing.assert_allclose(batch.target_probs[:, 0], [[0.5, 0.3, 0.2]] * 4)


def test_lengths_may_differ_and_null_is_impossible(tmp_path):
    half = np.log(0.5)
    content = [
        {"tokens": [0, 1], "logprobs": [[half, half, None], [None, 0.0, None]]},
        {"tokens": [1], "logprobs": [[half, half, None]]},
    ]
    subject = recorded_file(write(tmp_path / "t.jsonl", content))
    assert subject(subject.target_model, 2, 0).tolist() == [[0, 1], [1, 0]]
    batch = subject.target_model.batch(np.array([[0, 1], [1, 0]]), np.random.default_rng(0))
    assert batch.target_probs[:, 1].tolist() == [[0, 1, 0], [1, 0, 0]]


def test_null_is_no_column_and_names_may_be_capitals(drawn, tmp_path):
    content = [{**row, "logprobs": None} for row in rows(drawn[:2], "none")]
    assert recorded_file(write(tmp_path / "T.JSONL", content)).target_model is None
    (tmp_path / "x.txt").write_text("{}")
    with pytest.raises(InputError, match=r"x.txt': is none of the kinds of file that are known, a trace"):
        audit(tmp_path / "x.txt")


def test_whole_laws_of_few_tokens_do_not_shorten_the_lists_of_others(tmp_path):
    """As of a top-p engine, whose nucleus may hold one token; the ranks that it lacks are impossible."""
    long, short = {"0": np.log(0.5), "1": np.log(0.3)}, {"2": 0.0}
    content = [{"tokens": [x, 2], "top_logprobs": [long, short]} for x in (0, 1)]
    subject = recorded_file(write(tmp_path / "t.jsonl", content))
    batch = subject.target_model.batch(np.array([[0, 0], [1, 0]]), np.random.default_rng(0))
    np.testing.assert_allclose(batch.target_probs, [[[0.5, 0.3, 0.2], [1, 0, 0]]] * 2, atol=2e-6)


def test_the_drawn_tokens_alone_are_refused_as_lists_of_one_too(drawn, tmp_path):
    content = rows(drawn[:30], "pairs", listed=0)
    assert all(len(law) == 1 for row in content for law in row["top_logprobs"])
    with pytest.raises(InputError, match="in the whole file, no other: the drawn tokens alone leave the law unknown"):
        recorded_file(write(tmp_path / "t.jsonl", content))
    assert recorded_file(write(tmp_path / "one.jsonl", rows(drawn[:30], "pairs", listed=1))).target_model is not None


def test_a_mark_of_the_byte_order_is_no_error(drawn, tmp_path):
    path = write(tmp_path / "t.jsonl", rows(drawn[:3], "all"))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert recorded_file(path).num_available == 3


def test_other_columns_may_hold_other_ends_of_lines(drawn, tmp_path):
    content = json.dumps({**rows(drawn[:1], "all")[0], "text": "a\u2028b"}, ensure_ascii=False)
    (tmp_path / "t.jsonl").write_text(content + "\r\n", encoding="utf-8")
    assert recorded_file(tmp_path / "t.jsonl").num_available == 1


def changed(**columns):
    return lambda row: {**row, **columns}


BAD = [
    (lambda row: {"text": "x"}, "all", InputError, r"line 2: has no tokens; the columns are \['text'\]"),
    (changed(tokens=[0, 1.5, 2]), "all", InputError, r"line 2: tokens\[1\] = 1.5: a token is a whole number"),
    (changed(tokens=[0, 10**30, 2]), "all", InputError, r"tokens\[1\] = 10+: a token is a whole number"),
    (changed(tokens=[0, "²", 2]), "all", InputError, r"tokens\[1\] = '²': a token is a whole number"),
    (changed(tokens=[0, 9, 2]), "all", InputError, r"line 2: tokens\[1\] = 9: not a token of a vocabulary of 5"),
    (changed(tokens=[0, 1]), "all", InputError, r"line 2: logprobs has 3 entries: tokens has 2"),
    (changed(logprobs=[-1.0] * 3), "all", InputError, "drawn tokens alone leave the law unknown; give all V"),
    (changed(logprobs=[[0.2] * 5] * 3), "all", LawError, r"line 2: logprobs\[0\] has 0.2: a log-probability"),
    (changed(logprobs=[[-1.0] * 5] * 3), "all", LawError, r"logprobs\[0\]: the probabilities sum to 1.83"),
    (changed(logprobs=[[float("nan")] * 5] * 3), "all", LawError, "has nan"),
    (changed(logprobs=[[-1.6094379] * 5, [-0.6931472] * 2, [-1.6094379] * 5]), "all", InputError, r"\[2, 5\] entries"),
    (changed(logprobs=[[-1.3862944] * 4] * 3, tokens=[0] * 3), "all", InputError, "logprobs has 4 a token, .*line 1 5"),
    (changed(top_tokens=None), "lists", InputError, r"top_logprobs\[0\]: which tokens these are is not said"),
    (changed(top_tokens=[[1, 1]] * 3), "lists", LawError, r"top_logprobs\[0\]: names a token twice"),
    (changed(top_tokens=[[1]] * 3), "lists", InputError, "are not lists of one length"),
    (
        lambda row: {
            **row,
            "top_tokens": [[0], *row["top_tokens"][1:]],
            "top_logprobs": [[-1.0], *row["top_logprobs"][1:]],
        },
        "three",
        InputError,
        r"line 2: top_logprobs\[0\] has 1 entries, .*line 1: top_logprobs\[0\] has 3",
    ),
    (changed(top_logprobs=[[0.0, -1.0]] * 3), "lists", LawError, r"sums to 1.36788, which is above 1"),
    (lambda row: {"tokens": [0]}, "all", InputError, "line 2: has no laws, .*line 1 has logprobs"),
]


@pytest.mark.parametrize(("change", "kind", "error", "words"), BAD)
def test_a_bad_row_is_named(change, kind, error, words, drawn, tmp_path):
    content = rows(drawn[:3], "lists", listed=3) if kind == "three" else rows(drawn[:3], kind)
    content[1] = {name: value for name, value in change(content[1]).items() if value is not None}
    with pytest.raises(error, match=words):
        recorded_file(write(tmp_path / "bad.jsonl", content))


def test_a_bad_file_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no such file"):
        recorded_file(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no sequence"):
        recorded_file(tmp_path / "empty.jsonl")
    for text, words in (("{", "line 1: is not JSON"), ("[1]", "line 1: is a list")):
        (tmp_path / "bad.jsonl").write_text(text)
        with pytest.raises(InputError, match=words):
            recorded_file(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("{}", encoding="utf-16")
    with pytest.raises(InputError, match="is not UTF-8"):
        recorded_file(tmp_path / "bad.jsonl")
    (tmp_path / "some.parquet").write_text("PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs pyarrow; pip install 'scd-analysis\[parquet\]'"):
        recorded_file(tmp_path / "some.parquet")


def test_parquet_reads_as_json_lines_do(drawn, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for kind in ("all", "lists", "none"):
        content = rows(drawn[:50], kind)
        parquet.write_table(pyarrow.Table.from_pylist(content), tmp_path / f"{kind}.parquet")
        first = recorded_file(tmp_path / f"{kind}.parquet").target_model
        second = recorded_file(write(tmp_path / f"{kind}.jsonl", content)).target_model
        assert (first is None) == (second is None) == (kind == "none")
        if first is not None:
            tokens = second.tokens(slice(50))
            np.testing.assert_array_equal(first.tokens(slice(50)), tokens)
            both = [target.batch(tokens, np.random.default_rng(0)).target_probs for target in (first, second)]
            np.testing.assert_array_equal(*both)
    parquet.write_table(pyarrow.Table.from_pylist(rows(drawn[:5], "pairs")), tmp_path / "objects.parquet")
    with pytest.raises(InputError, match=r"top_logprobs has struct.* for each token: in Parquet, write lists"):
        recorded_file(tmp_path / "objects.parquet")
    content[7] = {"tokens": [0, -1]}
    parquet.write_table(pyarrow.Table.from_pylist(content), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=r"bad.parquet, row 7: tokens\[1\] = -1"):
        recorded_file(tmp_path / "bad.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"text.parquet: is not Parquet"):
        recorded_file(tmp_path / "text.parquet")
