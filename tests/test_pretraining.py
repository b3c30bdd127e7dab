"""Pretraining as a user does it: tokenizer, model, `Learner`, checkpoint, fine-tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.learner import Learner

ALBERT = {
    "model_type": "albert",
    "embedding_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}
BERT = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}
SUBJECTS = ["the film", "the music", "every scene", "this story"]
VERDICTS = ["was long and dull", "moved me to tears", "made me laugh", "was made with care"]
TEXTS = [
    f"{s} {v}. {t} {w}." for s in SUBJECTS for v in VERDICTS for t in SUBJECTS for w in VERDICTS
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "t"
    return ktlite.text.train_tokenizer(TEXTS, folder, vocab_size=150, verbose=0)


def pretrainer(
    tokenizer: Path, config: Any = ALBERT, texts: Any = TEXTS, **options: Any
) -> Learner:
    options = {"maxlen": 24, "batch_size": 64, "verbose": 0, **options}
    return ktlite.get_pretrainer(config, texts, tokenizer=tokenizer, **options)


@pytest.fixture(scope="module")
def trained(tokenizer: Path) -> Learner:
    learner = pretrainer(tokenizer, batch_size=16)
    learner.fit_onecycle(5e-3, 12, verbose=0)
    return learner


def test_albert_learns_words_and_the_order_of_sentences(trained: Learner) -> None:
    metrics = trained.metrics()
    # What knowing how often each token occurs would reach, without looking at the others.
    shares = np.bincount(trained.train_data.corpus.ids) / len(trained.train_data.corpus.ids)
    shares = shares[shares > 0]
    assert metrics["masked_lm_loss"] < -(shares * np.log(shares)).sum() - 0.1
    assert metrics["masked_lm_accuracy"] > shares.max()
    assert set(metrics) == {
        "masked_lm_loss", "perplexity", "masked_lm_accuracy", "sentence_order_accuracy"
    }  # fmt: skip
    history = trained.history.history
    assert history["prediction_logits_loss"][-1] < history["prediction_logits_loss"][0]
    assert "val_sop_logits_accuracy" in history


def test_validation_agrees_with_keras(trained: Learner) -> None:
    feed = trained._val
    kept = trained.model.evaluate(feed.validation(), steps=feed.steps, verbose=0, return_dict=True)
    ours = trained.metrics()
    for name, theirs in (
        ("masked_lm_accuracy", "prediction_logits_accuracy"),
        ("sentence_order_accuracy", "sop_logits_accuracy"),
    ):
        assert ours[name] == pytest.approx(kept[theirs], abs=1e-6)


def test_the_learning_rate_finder_works_and_takes_itself_back(tokenizer: Path) -> None:
    learner = pretrainer(tokenizer)
    before = [np.array(v) for v in learner.model.get_weights()]
    result = learner.lr_find(lr_mult=1.5, verbose=0)
    assert len(result.losses) > 20
    for old, new in zip(before, learner.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_saved_model_is_fine_tuned(trained: Learner, tmp_path: Path) -> None:
    trained.save_model(tmp_path / "mine")
    labels = ["long" in text for text in TEXTS]
    tuned = ktlite.get_learner(tmp_path / "mine", train_data=(TEXTS, labels), maxlen=24, verbose=0)
    words = tuned.model.embeddings.word.embeddings
    np.testing.assert_array_equal(words, trained.model.embeddings.word.embeddings)
    tuned.fit_onecycle(1e-3, 1, verbose=0)
    assert (
        tuned.get_predictor().predict("the film was long and dull.") in tuned.preproc.get_classes()
    )


def test_bert_learns_masked_words_and_keeps_checkpoints(tokenizer: Path, tmp_path: Path) -> None:
    learner = pretrainer(tokenizer, BERT)
    learner.fit_onecycle(1e-3, 1, verbose=0, checkpoint_folder=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "step-000004"]
    assert "masked_lm_accuracy" in learner.metrics()
    assert "sentence_order_accuracy" not in learner.metrics()


def test_the_pooler_of_sentence_order_is_taken_over(trained: Learner, tmp_path: Path) -> None:
    trained.save_model(tmp_path / "mine")
    model = ktlite.load_model(tmp_path / "mine", task="text-classification")
    np.testing.assert_array_equal(model.head.dense.kernel, trained.model.head.pooler.kernel)


@pytest.mark.torch
def test_pytorch_opens_the_saved_model(trained: Learner, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForPreTraining, AutoTokenizer

    trained.save_model(tmp_path / "mine")
    theirs, info = AutoModelForPreTraining.from_pretrained(
        tmp_path / "mine", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    inputs = AutoTokenizer.from_pretrained(tmp_path / "mine")(TEXTS[0], TEXTS[9])
    arrays = {name: np.array([ids], "int32") for name, ids in inputs.items()}
    ours = trained.model(arrays)
    with torch.no_grad():
        expected = theirs.eval()(**{k: torch.tensor(v).long() for k, v in arrays.items()})
    for name in ("prediction_logits", "sop_logits"):
        np.testing.assert_allclose(ours[name], expected[name].numpy(), atol=1e-5)


@pytest.mark.parametrize("config", [ALBERT, BERT], ids=["albert", "bert"])
def test_activations_that_are_computed_again_change_nothing(
    tokenizer: Path, config: dict[str, Any]
) -> None:
    kept, again = (
        pretrainer(tokenizer, config, TEXTS[:64], remat=remat) for remat in (False, True)
    )
    losses = [one.fit_onecycle(1e-3, 2, verbose=0).history["loss"] for one in (kept, again)]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)


def test_batches_hold_no_more_tokens_than_are_asked_for(tokenizer: Path) -> None:
    learner = pretrainer(tokenizer, batch_tokens=200)
    feed = learner._train
    for (inputs, _), _ in zip(feed.training(0, feed.steps), range(feed.steps), strict=False):
        assert inputs["input_ids"].shape[0] * inputs["input_ids"].shape[1] <= 200


def test_training_ends_with_the_average_of_the_weights(tokenizer: Path) -> None:
    plain, averaged = (pretrainer(tokenizer, texts=TEXTS[:64], ema=ema) for ema in (None, 0.999))
    before = np.array(averaged.model.get_weights()[0])
    moved = []
    for one in (plain, averaged):
        one.fit(1e-2, 2, verbose=0)
        moved.append(np.abs(one.model.get_weights()[0] - before).max())
    assert 0 < moved[1] < 0.75 * moved[0]


def test_one_seed_gives_one_result(tokenizer: Path) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        learner = pretrainer(tokenizer, texts=TEXTS[:64], seed=seed)
        learner.fit_onecycle(1e-3, 2, verbose=0)
        return learner.model.get_weights()

    one, two, other = weights(1), weights(1), weights(2)
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_a_checkpoint_is_trained_on(tiny_checkpoint: Path, caplog: Any) -> None:
    learner = pretrainer(None, tiny_checkpoint, max_ngram=2, maxlen=16)
    assert learner.model.task_name == "masked-lm"
    loaded = ktlite.models.from_pretrained(tiny_checkpoint)
    np.testing.assert_array_equal(
        loaded.embeddings.word.embeddings, learner.model.embeddings.word.embeddings
    )
    learner.fit_onecycle(1e-4, 1, verbose=0)
    assert np.isfinite(learner.metrics()["perplexity"])


def test_files_frames_and_lists_give_the_same_corpus(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(TEXTS[:40]), encoding="utf-8")
    (tmp_path / "b.txt").write_text("\n".join(TEXTS[40:60]), encoding="utf-8")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS[:60]})
    learners = [
        pretrainer(tokenizer, texts=str(tmp_path / "*.txt")),
        pretrainer(tokenizer, texts=frame, text_column="text"),
        pretrainer(tokenizer, texts=TEXTS[:60], val_data=TEXTS[60:70]),
    ]
    corpora = [learner.train_data.corpus for learner in learners]
    for corpus in corpora[1:]:
        np.testing.assert_array_equal(corpus.ids, corpora[0].ids)
    assert len(learners[0].train_data) == 57  # 5 % of 60 documents are held out
    assert len(learners[2].train_data) == 60
    assert len(learners[2].val_data) == 10


def test_the_tokenised_texts_go_with_the_learner(tokenizer: Path, tmp_path: Path) -> None:
    learner = pretrainer(tokenizer, texts=TEXTS[:30], cache_folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    tokens = len(learner.train_data.corpus.ids)
    assert (folder / "ids").stat().st_size == 2 * tokens
    del learner
    keras.utils.clear_session()
    assert not list(tmp_path.iterdir())


def test_a_failed_reading_leaves_no_files(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="text 30 is 7"):
        pretrainer(tokenizer, texts=[*TEXTS[:30], 7], cache_folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_config_takes_its_vocabulary_from_the_tokenizer(tokenizer: Path) -> None:
    size = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    assert pretrainer(tokenizer).model.config["vocab_size"] == size
    larger = pretrainer(tokenizer, {**ALBERT, "vocab_size": 160})
    assert larger.model.config["vocab_size"] == 160


def test_configs_come_as_mappings_files_and_objects(tokenizer: Path, tmp_path: Path) -> None:
    from transformers import AlbertConfig

    (tmp_path / "config.json").write_text(json.dumps(ALBERT))
    fields = {k: v for k, v in ALBERT.items() if k != "model_type"}
    configs = [ALBERT, tmp_path / "config.json", AlbertConfig(**fields, vocab_size=150)]
    for config in configs:
        model = pretrainer(tokenizer, config, TEXTS[:30]).model
        assert model.spec.width == 32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tokenizer": None}, ArgumentError, "train_tokenizer"),
        ({"config": 7}, ArgumentError, "model is of type int"),
        ({"task": "pretrain"}, ArgumentError, "Did you mean 'pretraining'"),
        ({"mask_probability": 15}, ArgumentError, "mask_probability=15"),
        ({"val_pct": 0}, ArgumentError, "val_pct=0"),
        ({"max_ngram": 0}, ArgumentError, "max_ngram=0"),
        ({"batch_tokens": 0}, ArgumentError, "batch_tokens=0"),
        ({"batch_tokens": 8}, ArgumentError, "the longest text needs"),
        ({"ema": 1}, ArgumentError, "ema=1"),
        ({"remat": "yes"}, ArgumentError, "remat='yes'"),
        ({"lora": 8}, ArgumentError, "lora=8: pretraining is for all weights"),
        ({"maxlen": 4}, ArgumentError, "maxlen=4"),
        ({"maxlen": 64}, ArgumentError, "has 32 positions"),
        ({"masked_prob": 0.1}, ArgumentError, "Did you mean 'mask_probability'"),
        ({"config": {**ALBERT, "vocab_size": 20}}, ArgumentError, "vocab_size is 20"),
        ({"config": {**ALBERT, "hiden_size": 20}}, CheckpointError, "hiden_size"),
        ({"config": {**BERT, "model_type": "bart"}}, CheckpointError, "bart"),
        ({"texts": ["one text only"]}, DataError, "only 1 document"),
        ({"texts": "nowhere.txt"}, DataError, "there is no file"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    tokenizer: Path, arguments: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        pretrainer(**{"tokenizer": tokenizer, **arguments})


def test_all_wrong_arguments_are_named_at_once(tokenizer: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        pretrainer(tokenizer, task="mlm", batch_size=0, val_pct=2)
    assert all(name in str(caught.value) for name in ("task", "batch_size", "val_pct"))


def test_there_is_nothing_to_predict_yet(trained: Learner) -> None:
    with pytest.raises(ArgumentError, match="fine-tune"):
        trained.get_predictor()
