"""Spark, Dask and MLflow give what the predictor gives, each on a small cluster of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.deploy.frames import Scorer
from ktlite.errors import ArgumentError, PredictorError
from ktlite.predictor import load_predictor

ROOT = Path(__file__).parents[2]
TEXTS = [f"{word} film {i}" * (i % 5 + 1) for i, word in enumerate(["good", "bad", "not"] * 7)]


def expected(folder: Path) -> pd.DataFrame:
    """What the predictor says of TEXTS, and of no text."""
    predictor = load_predictor(folder)
    frame = pd.DataFrame({"id": range(len(TEXTS) + 1), "text": [*TEXTS, None]})
    frame["prediction"] = [*predictor.predict(TEXTS), None]
    chances = [None] * len(TEXTS)
    if predictor.preproc.task.predicts_classes:
        chances = predictor.predict_proba(TEXTS).max(axis=1).tolist()
    frame["probability"] = [*chances, None]
    return frame


def assert_same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    found = found.sort_values("id", ignore_index=True)
    assert found["id"].tolist() == wanted["id"].tolist()
    for name in ("prediction", "probability"):
        missing = wanted[name].isna()
        assert (found[name].isna() == missing).all()
        pairs = found[name][~missing], wanted[name][~missing]
        if isinstance(pairs[1].iloc[0] if len(pairs[1]) else 0.0, str):
            assert pairs[0].tolist() == pairs[1].tolist()
        else:
            np.testing.assert_allclose(*(p.astype(float) for p in pairs), atol=1e-5)


@pytest.mark.parametrize(
    ("case", "prediction", "probability"),
    [
        ("classification", "string", "double"),
        ("multilabel", "string", "string"),
        ("regression", "double", "double"),
    ],
)
def test_types_are_known_beforehand(
    tiny_predictors: Path, case: str, prediction: str, probability: str
) -> None:
    folder = tiny_predictors / case
    scorer = Scorer.of(folder, 8)
    assert scorer.types == {"prediction": prediction, "probability": probability}
    found = scorer.columns([pd.Series(["good", None])])
    none = scorer.columns([pd.Series([], dtype=object)])
    for name, type in scorer.types.items():
        assert found[name].dtype == none[name].dtype == (float if type == "double" else "string")
    if case == "multilabel":
        assert set(json.loads(found["probability"][0])) == {"toxic", "threat"}


def test_interval_in_place_of_a_number_is_text(tiny_predictors: Path, tmp_path: Path) -> None:
    predictor = load_predictor(tiny_predictors / "regression")
    predictor.preproc.task.calibrate(np.array([[1.0], [2.0], [3.0]] * 9), np.zeros((27, 1)))
    predictor.save(tmp_path / "calibrated")
    scorer = Scorer.of(tmp_path / "calibrated", options={"coverage": 0.8})
    assert scorer.types["prediction"] == "string"
    low, high = json.loads(scorer.columns([pd.Series(["good film"])])["prediction"][0])
    assert low < high


def test_worker_refuses_another_predictor_than_was_asked_for(
    tiny_predictors: Path, tmp_path: Path
) -> None:
    load_predictor(tiny_predictors / "classification").save(tmp_path / "p")
    before, texts = Scorer.of(tmp_path / "p"), [pd.Series(["good film"])]
    load_predictor(tiny_predictors / "regression").save(tmp_path / "p")
    with pytest.raises(PredictorError, match="another predictor"):
        before.columns(texts)
    wanted = load_predictor(tmp_path / "p").predict("good film")
    assert Scorer.of(tmp_path / "p").columns(texts)["prediction"][0] == pytest.approx(wanted)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 4)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.mark.parametrize("case", ["classification", "regression"])
def test_spark(spark: Any, tiny_predictors: Path, case: str) -> None:
    from ktlite.deploy.spark import predict_udf

    wanted = expected(tiny_predictors / case)
    rows = list(enumerate([*TEXTS, None]))
    frame = spark.createDataFrame(rows, "id int, text string").repartition(3)
    predict = predict_udf(tiny_predictors / case)
    scored = frame.withColumn("scored", predict("text")).select("id", "scored.*").toPandas()
    assert_same(scored, wanted)


def test_spark_takes_pairs(spark: Any, tiny_predictors: Path) -> None:
    from ktlite.deploy.spark import predict_udf

    frame = spark.createDataFrame([("good film", "bad movie"), ("a", "a")], "a string, b string")
    predict = predict_udf(tiny_predictors / "pairs")
    found = [row["s"]["prediction"] for row in frame.select(predict("a", "b").alias("s")).collect()]
    pairs = [("good film", "bad movie"), ("a", "a")]
    assert found == load_predictor(tiny_predictors / "pairs").predict(pairs)


@pytest.mark.parametrize("case", ["classification", "regression"])
def test_dask(tiny_predictors: Path, tmp_path: Path, case: str) -> None:
    dask = pytest.importorskip("dask.dataframe")
    from ktlite.deploy.dask import predict_frame

    wanted = expected(tiny_predictors / case)
    frame = dask.from_pandas(wanted[["id", "text"]], npartitions=3)
    scored = predict_frame(frame, tiny_predictors / case)
    assert list(scored.columns) == ["id", "text", "prediction", "probability"]
    assert_same(scored.compute(), wanted)
    scored.to_parquet(str(tmp_path / "scored"))
    assert_same(pd.read_parquet(tmp_path / "scored"), wanted)
    with pytest.raises(ArgumentError, match="there is a column 'prediction' already"):
        predict_frame(scored, tiny_predictors / case)
    with pytest.raises(ArgumentError, match="Did you mean 'text'"):
        predict_frame(frame, tiny_predictors / case, "txt")
    with pytest.raises(PredictorError):
        predict_frame(frame, tmp_path / "none")


def test_dask_on_workers_of_their_own(tiny_predictors: Path) -> None:
    distributed = pytest.importorskip("dask.distributed")
    dask = pytest.importorskip("dask.dataframe")
    from ktlite.deploy.dask import predict_frame

    wanted = expected(tiny_predictors / "classification")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as c,
        distributed.Client(c),
    ):
        frame = dask.from_pandas(wanted[["id", "text"]], npartitions=3)
        assert_same(predict_frame(frame, tiny_predictors / "classification").compute(), wanted)


def test_mlflow(tiny_predictors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    from ktlite.deploy.mlflow import log_model, save_model

    folder = tiny_predictors / "classification"
    wanted = expected(folder)[:-1]
    save_model(folder, tmp_path / "saved")
    assert not [*tmp_path.rglob("*.pkl")]
    model = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    assert_same(model.predict(TEXTS).assign(id=range(len(TEXTS))), wanted)
    assert_same(model.predict(wanted[["text"]]).assign(id=range(len(TEXTS))), wanted)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run():
        info = log_model(folder)
    again = mlflow.pyfunc.load_model(info.model_uri)
    assert_same(again.predict(TEXTS).assign(id=range(len(TEXTS))), wanted)


def test_without_the_package_its_extra_is_named(
    tiny_predictors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ktlite.deploy.dask import predict_frame
    from ktlite.deploy.mlflow import save_model
    from ktlite.deploy.spark import predict_udf

    for package in ("pyspark", "pyspark.sql.functions", "dask", "dask.dataframe", "mlflow"):
        monkeypatch.setitem(sys.modules, package, None)
    folder = tiny_predictors / "classification"
    with pytest.raises(ArgumentError, match=r"ktlite\[spark\]"):
        predict_udf(folder)
    with pytest.raises(ArgumentError, match=r"ktlite\[dask\]"):
        predict_frame(None, folder)
    with pytest.raises(ArgumentError, match=r"ktlite\[mlflow\]"):
        save_model(folder, tmp_path / "saved")
