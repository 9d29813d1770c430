"""From a Parquet dataset to a verdict: the whole of ``evaluate``, without a model."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import mmembed
from mmembed.cli.commands import main
from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.queries import query_table
from mmembed.evaluation.retrieval.metrics import MEANS

from .conftest import dataset, digits


def test_every_direction_by_label_and_by_group(media_dataset: Path) -> None:
    evaluation = evaluate(media_dataset)
    pairs = set(permutations(("image", "audio", "video"), 2))
    for relevance in ("label", "group"):
        assert {
            (d.query, d.target) for d in evaluation.directions if d.relevance == relevance
        } == pairs
    assert evaluation.protocol["scored"] == "split test: 27 of 63 files"
    assert set(evaluation.classification) == {"image", "audio", "video"}
    assert evaluation.classification["audio"][0].protocol == "12 training rows → 9 test rows"
    assert evaluation.report is None


def test_vectors_of_one_point_score_chance_in_every_direction(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    evaluation = evaluate(dataset(tmp_path, rows, np.ones_like(vectors)))
    assert len(evaluation.directions) == 12
    for direction in evaluation.directions:
        assert direction.result.summary() == pytest.approx(
            direction.result.chance(), abs=1e-9, nan_ok=True
        )
    assert evaluation.directions[0].result.mean("R@1") == pytest.approx(1 / 3, abs=1e-9)
    assert "Retrieval by label is near chance" in evaluation.verdict
    assert any(fault.kind == "collapsed" for fault in evaluation.faults)


def test_matching_vectors_score_one(tmp_path: Path) -> None:
    rows, _ = digits("test", 6, np.random.default_rng(0))
    vectors = np.repeat(np.eye(6), 3, axis=0)
    evaluation = evaluate(dataset(tmp_path, rows, vectors))
    by_group = [d for d in evaluation.directions if d.relevance == "group"]
    assert [d.result.mean("mAP") for d in by_group] == [1.0] * 6
    assert "Retrieval by group is excellent" in evaluation.verdict


def test_one_modality_is_scored_within_itself(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    evaluation = evaluate(dataset(tmp_path, rows[::3], vectors[::3]))
    assert [d.name for d in evaluation.directions] == ["image → image"]
    assert evaluation.directions[0].targets == 8


def test_data_without_keys_still_has_a_report(tmp_path: Path) -> None:
    rows, vectors = digits("test", 4, np.random.default_rng(0))
    rows = [{**row, "path": f"{i}.{row['path'][-3:]}"} for i, row in enumerate(rows)]
    data = dataset(tmp_path / "data", rows, vectors, carried=())
    evaluation = evaluate(data, tmp_path / "report")
    assert evaluation.verdict.startswith(
        "Nothing could be scored: no two files share a label, a group or a name."
    )
    assert [fault.kind for fault in evaluation.faults] == ["nothing-relevant"]
    assert evaluation.report is not None
    assert evaluation.report.stat().st_size > 1 << 20


def test_one_broken_vector_leaves_only_itself_out(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    vectors[4] = np.nan
    evaluation = evaluate(dataset(tmp_path, rows, vectors))
    assert len(evaluation.items) == 26
    kinds = [(fault.kind, fault.count) for fault in evaluation.faults]
    assert kinds == [("nan", 1)]  # nothing is said of its partners, whom the labels answer
    assert np.isfinite(evaluation.directions[0].result.mean("mAP"))
    assert evaluation.verdict.endswith("The data has 1 fault; read it before trusting a score.")


def test_mistakes_are_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = digits("test", 3, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    zero = dataset(tmp_path / "zero", rows, 0 * vectors)
    cases: list[tuple[type[Exception], dict[str, Path | str], str]] = [
        (StoreError, {"embeddings": tmp_path / "gone"}, "gone: no such file or folder"),
        (
            StoreError,
            {"embeddings": zero},
            "every vector is missing, of another length, NaN or zero; embed",
        ),
        (ConfigError, {"embeddings": data, "split": "dev"}, "no row is in it; the dataset has"),
        (ConfigError, {"embeddings": data, "media": "nowhere"}, "nowhere: no such folder"),
        (ConfigError, {"embeddings": data, "report": __file__}, "is a file; give a folder"),
        (StoreError, {"embeddings": data, "report": f"{__file__}/in"}, "can't be written: Not a d"),
    ]
    for kind, options, text in cases:
        with pytest.raises(kind, match=text):
            evaluate(**options)  # type: ignore[arg-type]
        words = ["evaluate", str(options.pop("embeddings"))]
        assert main(words + [w for n, v in options.items() for w in (f"--{n}", str(v))]) == 2
        said = capsys.readouterr().err
        assert text in said
        assert said.count("\n") <= 2


def test_the_command_prints_what_python_returns(
    media_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(media_dataset), "--pool", "max", "--split", "all"]) == 0
    printed = capsys.readouterr().out
    evaluation = mmembed.evaluate(media_dataset, split="all", pool="max")
    assert "all 63 files" in printed
    assert "toy <b>space</b>" in printed
    for direction in evaluation.directions:
        assert direction.name in printed
        assert f"{direction.result.mean('mAP'):.3f}" in printed
    assert evaluation.protocol["pooling"].startswith("two files score the best pair")


def test_files_of_one_stem_belong_together_where_nothing_else_says_so(tmp_path: Path) -> None:
    rows = [
        {"path": f"{kind}/{i:02}.{end}", "modality": kind}
        for i in range(6)
        for kind, end in (("image", "png"), ("audio", "wav"))
    ]
    evaluation = evaluate(dataset(tmp_path, rows, np.repeat(np.eye(6), 2, 0), carried=()))
    assert [(d.relevance, d.name) for d in evaluation.directions] == [
        ("stem", "image → audio"),
        ("stem", "audio → image"),
    ]
    assert [d.result.mean("R@1") for d in evaluation.directions] == [1.0, 1.0]
    assert evaluation.faults == []


def test_only_the_relevance_that_was_asked_for_is_scored(media_dataset: Path) -> None:
    evaluation = evaluate(media_dataset, relevance="group")
    assert evaluation.notions == ["group"]


def test_judgements_take_the_place_of_keys(media_dataset: Path, tmp_path: Path) -> None:
    judged = tmp_path / "judged.csv"
    judged.write_text(
        "query,target,grade\nvideo/test-00.mp4,audio/test-00.wav,3\n"
        "video/test-00.mp4,audio/test-03.wav,1\nnowhere.mp4,audio/test-01.wav,1\n"
    )
    evaluation = evaluate(media_dataset, qrels=judged)
    assert [(d.relevance, d.name) for d in evaluation.directions] == [("qrels", "video → audio")]
    assert evaluation.directions[0].result.relevant.tolist() == [2]
    assert [(f.kind, f.examples) for f in evaluation.faults] == [("unknown-id", ("nowhere.mp4",))]
    both = evaluate(media_dataset, qrels=judged, relevance="label")
    assert both.notions == ["label", "qrels"]


def test_moments_are_found_at_their_time(tmp_path: Path) -> None:
    """Sound and pictures of three films: a moment is answered by the same seconds only."""
    rows, vectors = [], []
    for film in range(3):
        for k in range(4):
            for kind in ("audio", "video"):
                rows.append({"path": f"{film}.mp4", "modality": kind, "segment_index": k})
                rows[-1] |= {"start_s": 10.0 * k, "end_s": 10.0 * k + 10, "group": str(film)}
                vectors.append(np.eye(12)[4 * film + k])
    data = dataset(tmp_path, rows, np.array(vectors))
    evaluation = evaluate(data, pool="moments", relevance="group")
    assert [d.result.mean("mAP") for d in evaluation.directions] == [1.0, 1.0]
    assert all((d.result.relevant == 1).all() for d in evaluation.directions)
    assert all(len(np.unique(d.clusters)) == 3 for d in evaluation.directions)
    files = evaluate(data, relevance="group")
    assert [len(d.result.queries) for d in files.directions] == [3, 3]


def test_text_rows_are_queries_and_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:3]
    rows, vectors = [], []
    for i in range(30):
        for kind, end in (("image", "png"), ("text", "txt")):
            rows.append({"path": f"{i}.{end}", "modality": kind, "label": f"class {i % 3}"})
            rows[-1] |= {"group": str(i), "caption": f"a picture of {i}"}
            vectors.append(centres[i % 3] + 0.2 * rng.normal(size=8))
    carried = ("label", "group", "caption")
    evaluation = evaluate(dataset(tmp_path, rows, np.array(vectors), carried=carried))
    assert {d.name for d in evaluation.directions} == {"image → text", "text → image"}
    methods = {c.method: c for c in evaluation.classification["image"]}
    assert methods["zero-shot"].accuracy > 0.9
    assert "zero-shot" not in {c.method for c in evaluation.classification["text"]}


def test_prompts_of_another_dataset_make_zero_shot(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    centres = np.random.default_rng(5).normal(size=(3, 8))
    texts = [{"path": f"{i}.txt", "modality": "text", "label": f"class {i}"} for i in range(3)]
    prompts = dataset(tmp_path / "prompts", texts, centres)
    evaluation = evaluate(data, prompts=prompts)
    for results in evaluation.classification.values():
        (zero_shot,) = (c for c in results if c.method == "zero-shot")
        assert zero_shot.protocol.startswith("3 classes by 3 prompts")
        assert zero_shot.accuracy > 0.8
    with pytest.raises(ConfigError, match="no row of it is a text with a label"):
        evaluate(data, prompts=data)


def test_every_query_has_its_numbers_in_a_table(media_dataset: Path) -> None:
    evaluation = evaluate(media_dataset)
    table = query_table(evaluation)
    assert len(table) == 12 * 9
    for direction in evaluation.directions:
        rows = table.filter(
            (pc.field("relevance") == direction.relevance)
            & (pc.field("query_modality") == direction.query)
            & (pc.field("target_modality") == direction.target)
        )
        for metric in MEANS:
            mean = direction.result.mean(metric.name)
            assert pc.mean(rows[metric.name]).as_py() == pytest.approx(mean)
        median = float(np.nanmedian(rows["first rank"].to_numpy()))
        assert median == pytest.approx(direction.result.mean("median rank"))


def test_bounds_make_the_command_fail(
    media_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(media_dataset), "--fail-under"]
    assert main([*words, "*/mAP=0.01, image/k-nn=0.01, *-audio/mAP=0"]) == 2
    assert "nothing like *-audio/mAP was scored; there are image-audio" in capsys.readouterr().err
    assert main([*words, "*/mAP=0.01,label:image-audio/median rank=9,image/k-nn=0.01"]) == 0
    assert main([*words, "label:image-audio/mAP=1.1,group:*/median rank=0.5"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 7
    value = evaluate(media_dataset).directions[0].result.mean("mAP")
    expected = f"mmembed: --fail-under: label:image-audio/mAP is {value:.4g}, below 1.1"
    assert said[0] == expected
    assert said[1].endswith("above 0.5")
    assert main([*words, "mAP=0.9"]) == 2
    assert "give QUERY-TARGET/METRIC=VALUE, such as image-audio/mAP=0.9" in capsys.readouterr().err
