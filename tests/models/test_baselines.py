"""Small models from scratch: what they compute, padding, seeds, and their files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import from_config, from_pretrained
from ktlite.models.baselines import BASELINES, LinearModel
from ktlite.models.baselines.ngrams import NGrams

Step = Callable[..., tuple[np.ndarray, np.ndarray]]
TASK = "text-classification"
VOCAB = 40
CONFIGS: dict[str, dict[str, Any]] = {
    "nbsvm": {"model_type": "ktlite-linear", "ngram_range": 3, "ngrams": 9},
    "logreg": {"model_type": "ktlite-linear", "weighting": "tf-idf"},
    "fasttext": {"model_type": "ktlite-fasttext", "embedding_size": 8},
    "bigru": {"model_type": "ktlite-recurrent", "embedding_size": 8, "hidden_size": 4},
    "bilstm": {"model_type": "ktlite-recurrent", "cell": "lstm", "hidden_size": 4},
}
TEXTS = [[2, 7, 9, 7, 9, 7, 3], [2, 30, 3], [2, 7, 7, 7, 39, 12, 5, 3], [2, 3], [2, 9, 12, 3]]
LABELS = np.array([0, 1, 0, 1, 1])


def made(name: str, seed: int = 1, outputs: int = 2) -> Any:
    return from_config({"vocab_size": VOCAB, **CONFIGS[name]}, TASK, num_labels=outputs, seed=seed)


def padded(texts: list[list[int]], length: int) -> dict[str, np.ndarray]:
    rows = [text + [0] * (length - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (length - len(text)) for text in texts]
    return {"input_ids": np.array(rows, "int32"), "attention_mask": np.array(mask, "int32")}


def scrambled(model: Any, seed: int = 0) -> Any:
    """Gives every weight random values, so that nothing is hidden by zeros."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape))
    if getattr(model.classifier, "known", None) is not None:
        batch = padded(TEXTS, 9)
        known = model.classifier.ngrams.learn([(batch["input_ids"], batch["attention_mask"])])
        model.classifier.known.assign(known[::2][: model.classifier.count])
    return model


def logits(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.array(model(inputs))


# All of them


@pytest.mark.parametrize("name", CONFIGS)
def test_answer_does_not_depend_on_the_padding(name: str) -> None:
    model = scrambled(made(name))
    expected = [logits(model, {"input_ids": np.array([text])})[0] for text in TEXTS]
    for length in (8, 9, 30):
        found = logits(model, padded(TEXTS, length))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_token_ids_alone_are_padded_with_zeros(name: str) -> None:
    model, inputs = scrambled(made(name)), padded(TEXTS, 12)
    expected = logits(model, inputs)
    np.testing.assert_array_equal(np.array(model(inputs["input_ids"])), expected)
    found = model.predict(inputs["input_ids"], verbose=0)  # in a graph, as ktrain's users call it
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_in_the_padding_does_not_matter(name: str) -> None:
    model, inputs = scrambled(made(name)), padded(TEXTS, 12)
    expected = logits(model, inputs)
    inputs["input_ids"][inputs["attention_mask"] == 0] = 9
    np.testing.assert_allclose(logits(model, inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["fasttext", "bigru", "bilstm"])
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    first, same, other = ([np.array(w) for w in made(name, s).weights] for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_saved_model_is_opened_by_its_folder_alone(name: str, tmp_path: Path) -> None:
    model = scrambled(made(name, outputs=3))
    model.config.update({"id2label": {"0": "a", "1": "b", "2": "c"}})
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path, TASK)
    assert type(again) is BASELINES[CONFIGS[name]["model_type"]]
    assert again.config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    inputs = padded(TEXTS, 10)
    np.testing.assert_array_equal(logits(again, inputs), logits(model, inputs))


@pytest.mark.parametrize("name", CONFIGS)
def test_keras_own_file_holds_the_model_too(name: str, tmp_path: Path) -> None:
    model = scrambled(made(name))
    model(padded(TEXTS, 8))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(again, padded(TEXTS, 8)), logits(model, padded(TEXTS, 8)))


def test_labels_that_have_no_names_are_counted(tmp_path: Path) -> None:
    made("fasttext", outputs=4).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert list(config["id2label"].values()) == [f"LABEL_{i}" for i in range(4)]
    assert config["architectures"] == ["FastText"]
    assert from_pretrained(tmp_path, TASK).num_labels == 4


def test_half_precision_computes_logits_in_float32() -> None:
    config = {"vocab_size": VOCAB, **CONFIGS["bigru"]}
    model = from_config(config, TASK, num_labels=2, dtype="mixed_bfloat16")
    assert model.forwards.compute_dtype == "bfloat16"
    assert logits(model, padded(TEXTS, 8)).dtype == np.float32


@pytest.mark.parametrize("name", CONFIGS)
def test_layer_groups_cover_all_weights(name: str) -> None:
    model = made(name)
    groups = [weight for _, layers in model.layer_groups() for x in layers for weight in x.weights]
    assert sorted(map(id, groups)) == sorted(map(id, model.weights))
    assert model.layer_groups()[-1][0] == "classifier"


# Refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "rnn"}, "cell='rnn' is not known"),
        ({"hidden": 3}, "does not know.*hidden"),
        ({"dropout": "0.1"}, "dropout='0.1' is of type str"),
        ({"vocab_size": 0}, "vocab_size=0; expected at least 1"),
    ],
)
def test_config_that_is_not_understood_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_config({"vocab_size": VOCAB, **CONFIGS["bigru"], **change}, TASK)


def test_weights_of_another_model_are_refused_before_any_is_set(tmp_path: Path) -> None:
    made("bigru").save_pretrained(tmp_path)
    model = made("fasttext")
    before = [np.array(weight) for weight in model.weights]
    with pytest.raises(CheckpointError) as caught:
        model.load_pretrained(tmp_path)
    assert "classifier.kernel has shape [16, 2]; this model needs it with shape [8, 2]" in str(
        caught.value
    )
    assert "no use for: backwards.gru_cell.bias" in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (None, {}, "task=None is not known"),
        ("token-classification", {}, "task='token-classification' is not known"),
        (TASK, {"layers": 2}, "layers=2 goes with transformers"),
        (TASK, {"max_positions": 9}, "max_positions=9 goes with transformers"),
    ],
)
def test_what_baselines_do_not_have_is_refused(
    task: str | None, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made("fasttext").save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        from_pretrained(tmp_path, task, **options)


# n-grams


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_each_ngram_has_a_number_of_its_own(longest: int) -> None:
    ngrams = NGrams(VOCAB, longest)
    inputs = padded(TEXTS, 11)
    batch = inputs["input_ids"], inputs["attention_mask"]
    known = ngrams.learn([batch])
    numbers, present = map(np.array, ngrams(*batch, known))
    windows_of = [
        {tuple(t[i : i + n]) for n in range(1, longest + 1) for i in range(len(t) - n + 1)}
        for t in TEXTS
    ]
    found_in = [set(row[counts].tolist()) for row, counts in zip(numbers, present, strict=True)]
    for windows, found, counts in zip(windows_of, found_in, present, strict=True):
        assert len(windows) == len(found) == counts.sum()
        assert {w[0] for w in windows if len(w) == 1} == {n for n in found if n < VOCAB}
    # The same n-gram has the same number in all texts: as many are shared as n-grams are.
    for i, j in itertools.combinations(range(len(TEXTS)), 2):
        assert len(windows_of[i] & windows_of[j]) == len(found_in[i] & found_in[j])
    longer = {window for windows in windows_of for window in windows if len(window) > 1}
    assert len(known) == len(longer)


def test_ngrams_that_are_not_known_do_not_count() -> None:
    ngrams = NGrams(VOCAB, 2)
    known = ngrams.learn([(np.array([[2, 7, 9, 3]]), np.ones((1, 4)))])
    numbers, present = ngrams(np.array([[2, 9, 7, 9, 39]]), np.ones((1, 5)), known)
    found = np.array(numbers)[np.array(present)]
    assert found[:4].tolist() == [2, 7, 9, 39]
    assert len(found) == 5  # of the pairs, (7, 9) alone
    assert VOCAB <= found[4] < VOCAB + 3


def test_numbers_of_ngrams_never_change() -> None:
    # Saved models depend on them.
    known = NGrams(10, longest=2).learn([(np.array([[2, 7, 7]]), np.ones((1, 3)))])
    assert known.tolist() == [782807615, 903472990]


@pytest.mark.parametrize("text", [[7], [7, 7]])
def test_texts_without_ngrams_are_fine(text: list[int]) -> None:
    batches = [(padded([text, text], 1), np.eye(2))]
    model = LinearModel.for_texts({"vocab_size": VOCAB, "ngram_range": 3}, batches, 2)
    assert np.isfinite(logits(model, padded([text, [2, 7, 9]], 3))).all()


# What linear models learn from the training data


def adapted(weighting: str, texts: list[list[int]], labels: np.ndarray) -> Any:
    config = {"vocab_size": VOCAB, "weighting": weighting}
    half = len(texts) // 2
    batches = [
        (padded(part, 20), rows)
        for part, rows in ((texts[:half], labels[:half]), (texts[half:], labels[half:]))
    ]
    return LinearModel.for_texts(config, batches, num_labels=labels.shape[1])


def as_is(tokens: list[int]) -> list[int]:
    return tokens


def test_untrained_nbsvm_of_two_classes_decides_as_naive_bayes() -> None:
    texts, classes = [*TEXTS, [2, 30, 12, 3]], np.array([0, 1, 0, 1, 1, 0])
    model = adapted("log-count-ratio", texts, np.eye(2)[classes])
    unseen = [[2, 7, 3], [2, 30, 9, 9, 5, 3], [2, 20, 21, 3]]  # 20 and 21 are in no text
    vectorizer = CountVectorizer(analyzer=as_is, binary=True)
    bayes = MultinomialNB(alpha=1.0).fit(vectorizer.fit_transform(texts), classes)
    joint = bayes.predict_joint_log_proba(vectorizer.transform(unseen))
    found = logits(model, padded(unseen, 9))
    # As sure as 0.2 / 0.5 of it.
    expected = 0.4 * (joint[:, 1] - joint[:, 0])
    np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, atol=1e-5)


def test_labels_of_which_a_text_can_have_several_are_told_apart_one_by_one() -> None:
    several = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    together = adapted("log-count-ratio", TEXTS, several).classifier.values
    for label in range(3):
        alone = np.stack([1 - several[:, label], several[:, label]], axis=1)
        of_two = adapted("log-count-ratio", TEXTS, alone).classifier.values
        np.testing.assert_allclose(np.array(together)[:, label], np.array(of_two)[:, 1], atol=1e-6)


def test_tf_idf_is_that_of_scikit_learn() -> None:
    model = adapted("tf-idf", TEXTS, np.eye(2)[LABELS])
    kernel = np.random.default_rng(0).normal(size=model.classifier.kernel.shape)
    model.classifier.kernel.assign(kernel)
    vectorizer = TfidfVectorizer(analyzer=as_is, binary=True)
    vectorizer.fit(TEXTS)
    rows = [int(word) for word in vectorizer.get_feature_names_out()]
    unseen = [[2, 7, 7, 3], [2, 30, 9, 5, 20, 3]]
    expected = 10 * vectorizer.transform(unseen) @ kernel[rows]
    np.testing.assert_allclose(logits(model, padded(unseen, 8)), expected, atol=1e-5)


def test_what_is_learned_from_the_data_is_not_trained() -> None:
    model = adapted("log-count-ratio", TEXTS, np.eye(2)[LABELS])
    assert [v.name for v in model.trainable_weights] == ["kernel", "bias"]


# The three kinds that learn by gradients alone


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_models_read_both_ways_and_pool_words_alone(cell: str) -> None:
    model = scrambled(made({"gru": "bigru", "lstm": "bilstm"}[cell]))
    vectors = np.array(model.embeddings.embeddings)[TEXTS[2]]
    step = {"gru": gru_step, "lstm": lstm_step}[cell]
    there = read(vectors, step, model.forwards)
    back = read(vectors[::-1], step, model.backwards)[::-1]
    states = np.concatenate([there, back], axis=1)
    features = np.concatenate([states.mean(axis=0), states.max(axis=0)])
    expected = features @ np.array(model.classifier.kernel) + np.array(model.classifier.bias)
    found = logits(model, padded(TEXTS, 12))[2]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def read(vectors: np.ndarray, step: Step, layer: Any) -> np.ndarray:
    """Returns the states of a recurrent layer, computed word by word."""
    weights = [np.array(weight, "float64") for weight in layer.weights]
    output = memory = np.zeros(layer.units)
    states = []
    for vector in vectors:
        output, memory = step(vector, output, memory, *weights)
        states.append(output)
    return np.array(states)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_step(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, kernel: Any, recurrent: Any, bias: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Hochreiter and Schmidhuber's cell with a forget gate; gates in Keras' order."""
    i, f, new, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
    return sigmoid(o) * np.tanh(c), c


def gru_step(
    x: np.ndarray, h: np.ndarray, _: np.ndarray, kernel: Any, recurrent: Any, bias: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Cho et al.'s cell, its reset gate after the product, as cuDNN and Keras have it."""
    z_x, r_x, new_x = np.split(x @ kernel + bias[0], 3)
    z_h, r_h, new_h = np.split(h @ recurrent + bias[1], 3)
    z = sigmoid(z_x + z_h)
    return z * h + (1 - z) * np.tanh(new_x + sigmoid(r_x + r_h) * new_h), h


def test_fasttext_is_linear_in_the_mean_vector() -> None:
    model = scrambled(made("fasttext"))
    table, kernel, bias = (np.array(weight) for weight in model.weights)
    expected = [table[text].mean(axis=0) @ kernel + bias for text in TEXTS]
    np.testing.assert_allclose(logits(model, padded(TEXTS, 9)), expected, rtol=1e-5, atol=1e-5)


# Of pictures


def test_convolutions_are_those_of_their_definition(tmp_path: Path) -> None:
    config = {"model_type": "ktlite-convolutional", "image_size": [6, 4], "channels": [8, 16]}
    model = from_config(config, "image-classification", num_labels=3)
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape))
    values = random.normal(size=(2, 6, 4, 3)).astype("float32")
    weights = [np.array(w, "float64") for w in model.weights]
    x = values.astype("float64")
    for kernel, norm in zip(model.convolutions, model.norms, strict=True):
        padded_x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        height, width = x.shape[1:3]
        taken = np.array(kernel.kernel, "float64")
        x = sum(
            padded_x[:, i : i + height, j : j + width] @ taken[i, j]
            for i in range(3)
            for j in range(3)
        )
        groups = x.reshape(len(x), -1, 8, x.shape[-1] // 8)
        mean, variance = (f(groups, axis=(1, 3), keepdims=True) for f in (np.mean, np.var))
        x = ((groups - mean) / np.sqrt(variance + norm.epsilon)).reshape(x.shape)
        x = np.maximum(x * np.array(norm.gamma, "float64") + np.array(norm.beta, "float64"), 0)
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        x = x.reshape(len(x), height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
    expected = x.mean(axis=(1, 2)) @ weights[-2] + weights[-1]
    found = logits(model, {"pixel_values": values})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(logits(model, values), found)
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path, "image-classification")
    np.testing.assert_array_equal(logits(again, values), found)
    with pytest.raises(ArgumentError, match="task='text-classification'"):
        from_pretrained(tmp_path, TASK)


def test_pictures_that_are_too_small_for_the_blocks_are_refused() -> None:
    config = {"model_type": "ktlite-convolutional", "image_size": 4, "channels": [8, 12, 16]}
    with pytest.raises(CheckpointError) as error:
        from_config(config, "image-classification")
    assert "need 8 pixels or more" in str(error.value)
    assert "expected multiples of 8" in str(error.value)
