"""Which words moved a prediction: what the numbers mean, for every family, task and method."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import ktlite
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError, DataError
from ktlite.explain import METHODS
from ktlite.explain.gradients import TOLERANCE
from ktlite.explain.methods import ridge
from ktlite.predictor import Predictor
from ktlite.tasks import Classification
from ktlite.tasks.aims import output_aims
from ktlite.text import Transformer, train_tokenizer

TEXT = "The film was great, but 房间 not!"
WORDS = ["The", "film", "was", "great", ",", "but", "房", "间", "not", "!"]
FAMILIES = [
    "bert-gelu", "albert", "deberta", "distilbert", "electra", "modernbert", "mpnet", "roberta"
]  # fmt: skip
EXAMPLES: dict[str, Any] = {
    "classification": TEXT,
    "multilabel": TEXT,
    "regression": ("good film", "bad movie"),
    "tagging": "John was not in 房间",
    "question-answering": ("what movie?", "It was a great movie, and 房间 not bad."),
}
MakePredictor = Callable[..., Predictor]


def contrast(logits: np.ndarray, number: int) -> float:
    """A logit against the mean of the others."""
    return float(logits[number] - np.delete(logits, number).mean())


# Integrated gradients


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_add_up_to_what_all_words_make(predictor_of: MakePredictor, family: str) -> None:
    predictor = predictor_of(family=family)
    logits = predictor.logits(["the film was great", "[MASK] [MASK] [MASK] [MASK]"])
    for explanation in predictor.explain("the film was great", all_targets=True):
        number = predictor.get_classes().index(explanation.target)
        difference = contrast(logits[0], number) - contrast(logits[1], number)
        assert explanation.difference == pytest.approx(difference, abs=1e-4)
        allowed = TOLERANCE * max(1, abs(difference)) + 1e-6
        assert explanation.scores.sum() == pytest.approx(difference, abs=allowed)
        error = explanation.scores.sum() - explanation.difference
        assert explanation.completeness_error == pytest.approx(error)


@pytest.mark.parametrize("task", EXAMPLES)
def test_scores_add_up_in_every_task(predictor_of: MakePredictor, task: str) -> None:
    for explanation in predictor_of(task).explain(EXAMPLES[task], all_targets=True):
        assert abs(explanation.difference) > 1e-3
        scale = 50 if explanation.target == "price" else 1
        allowed = TOLERANCE * max(scale, abs(explanation.difference)) + 1e-6
        assert abs(explanation.completeness_error) <= allowed
        assert (explanation.scores != 0).all()


def test_scores_are_the_integral_of_the_gradient(predictor_of: MakePredictor) -> None:
    """By finite differences and the midpoint rule, straight from the definition."""
    predictor = predictor_of()
    model, tokenizer = predictor.model, predictor.preproc.tokenizer
    text = "the film was bad"
    ids = tokenizer.encode([text]).ids[None]
    base = np.where(np.isin(ids, ids[0, [0, -1]]), ids, tokenizer.mask_id)
    table = keras.ops.convert_to_numpy(model.embeddings.word.embeddings)
    first, last = table[base[0]], table[ids[0]]
    number = int(predictor.logits([text])[0].argmax())

    def value(vectors: np.ndarray) -> np.ndarray:
        many = np.repeat(ids, len(vectors), axis=0)
        logits = keras.ops.convert_to_numpy(
            model({"input_ids": many, "word_vectors": vectors.astype("float32")})
        )
        return np.array([contrast(row, number) for row in logits.astype("float64")])

    points, step = (np.arange(40) + 0.5) / 40, 0.02
    expected = []
    for token in range(1, ids.shape[1] - 1):
        way = np.zeros_like(first)
        way[token] = (last - first)[token]
        at = first + points[:, None, None] * (last - first)
        expected.append(((value(at + step * way) - value(at - step * way)) / (2 * step)).mean())
    scores = predictor.explain(text).scores
    np.testing.assert_allclose(scores, expected, atol=5e-3)


@pytest.mark.torch
def test_scores_are_those_of_pytorch(predictor_of: MakePredictor, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    predictor = predictor_of()
    predictor.save(tmp_path / "p")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "p").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "p")
    ids = tokenizer("the film was bad", return_tensors="pt").input_ids
    base = ids.clone()
    base[:, 1:-1] = tokenizer.mask_token_id
    table = model.get_input_embeddings()
    first, last = table(base).detach(), table(ids).detach()
    steps = ((torch.arange(300) + 0.5) / 300)[:, None, None]
    vectors = (first + steps * (last - first)).requires_grad_()
    logits = model(inputs_embeds=vectors).logits
    number = int(model(ids).logits.argmax())
    others = [i for i in range(3) if i != number]
    (logits[:, number] - logits[:, others].mean(dim=1)).sum().backward()
    expected = (vectors.grad.mean(dim=0) * (last - first)[0]).sum(dim=-1)[1:-1]
    np.testing.assert_allclose(predictor.explain("the film was bad").scores, expected, atol=2e-3)


def test_word_vectors_of_the_ids_give_the_same_outputs(predictor_of: MakePredictor) -> None:
    for family in FAMILIES:
        model = predictor_of(family=family).model
        inputs = {"input_ids": np.array([[2, 5, 9, 3]], "int32")}
        vectors = model.embeddings.word(inputs["input_ids"])
        expected = keras.ops.convert_to_numpy(model(inputs))
        np.testing.assert_allclose(model({**inputs, "word_vectors": vectors}), expected, atol=1e-6)


def test_half_precision_gives_nearly_the_same_scores(predictor_of: MakePredictor) -> None:
    full, half = (predictor_of(precision=p).explain(TEXT, target="pos") for p in (None, "bfloat16"))
    largest = np.abs(full.scores).max()
    np.testing.assert_allclose(half.scores, full.scores, atol=0.1 * largest)


# The other methods


def test_occlusion_is_what_a_word_less_changes(predictor_of: MakePredictor) -> None:
    predictor, text = predictor_of(), "the film was great"
    words = text.split()
    texts = [text, *(text.replace(word, "[MASK]") for word in words)]
    logits = predictor.logits(texts)
    number = int(logits[0].argmax())
    values = [contrast(row, number) for row in logits]
    scores = predictor.explain(text, method="occlusion").scores
    np.testing.assert_allclose(scores, values[0] - np.array(values[1:]), atol=1e-5)


@pytest.fixture(scope="module")
def linear() -> Predictor:
    """A model whose output is a sum over the words."""
    train, val, _ = ktlite.text.texts_from_array(
        ["good film", "great film", "bad film", "dull film"] * 3, ["pos", "pos", "neg", "neg"] * 3,
        ["good", "bad"], ["pos", "neg"], maxlen=20, verbose=0,
    )  # fmt: skip
    learner = ktlite.get_learner(ktlite.text.text_classifier("nbsvm", train), train, val)
    return learner.get_predictor()


def known_scores(predictor: Predictor, words: list[str]) -> np.ndarray:
    """What each word adds to the log odds of "pos", by the weights."""
    layer = predictor.model.classifier
    of_class = layer.values.numpy() * layer.kernel.numpy()
    ids = predictor.preproc.tokenizer.encode([" ".join(words)]).ids[1:-1]
    return of_class[ids, 1] - of_class[ids, 0]


def test_a_linear_model_is_explained_by_its_weights(linear: Predictor) -> None:
    words = ["great", "film", "dull", "bad"]
    expected = known_scores(linear, words)
    assert expected[0] > 0.1 and expected[2] < -0.1
    explain = linear.explain
    occlusion = explain(" ".join(words), target="pos", method="occlusion")
    np.testing.assert_allclose(occlusion.scores, expected, atol=1e-5)
    lime = explain(" ".join(words), target="pos", method="lime", n_samples=3000)
    np.testing.assert_allclose(lime.scores, expected, atol=0.01)
    against = explain(" ".join(words), target="neg")
    np.testing.assert_allclose(against.scores, -expected, atol=1e-5)


def test_models_without_word_vectors_are_explained_by_occlusion(
    linear: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    vars(linear).pop("_gradients", None)
    with caplog.at_level(logging.INFO, "ktlite"):
        found = linear.explain(["good", "bad"])
    assert [explanation.method for explanation in found] == ["occlusion", "occlusion"]
    assert caplog.text.count("gives no gradients") == 1
    with pytest.raises(ArgumentError, match="gives no gradients; take 'occlusion' or 'lime'"):
        linear.explain("good", method="integrated-gradients")


def test_lime_is_the_same_for_the_same_seed(predictor_of: MakePredictor) -> None:
    first, again, other = (
        predictor_of().explain(TEXT, n_samples=50, method="lime", seed=seed).scores
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("rows", [40, 5])
def test_limes_linear_model_is_that_of_scikit_learn(rows: int) -> None:
    random = np.random.default_rng(3)
    x, y = random.integers(0, 2, (rows, 12)).astype("float64"), random.normal(size=rows)
    weights = random.uniform(0.01, 1, rows)
    expected = Ridge(alpha=1.0).fit(x, y, sample_weight=weights).coef_
    np.testing.assert_allclose(ridge(x, y, weights), expected, atol=1e-10)


# Words


@pytest.mark.parametrize("family", ["bert-gelu", "roberta"])
@pytest.mark.parametrize("method", METHODS)
def test_words_are_those_of_the_text(predictor_of: MakePredictor, family: str, method: str) -> None:
    explanation = predictor_of(family=family).explain(TEXT, method=method, n_samples=50)
    assert explanation.words == WORDS
    frame = explanation.to_frame()
    assert [TEXT[start:end] for start, end in zip(frame.start, frame.end, strict=True)] == WORDS
    np.testing.assert_array_equal(frame.score, explanation.scores)
    assert explanation.seen.all()
    assert json.loads(json.dumps(explanation.to_dict()))["words"][3]["word"] == "great"


@pytest.fixture(scope="module")
def unigram(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    """A preprocessor whose tokens are several Chinese words."""
    folder = tmp_path_factory.mktemp("unigram")
    texts = ["这部电影很好看", "这部电影太差了", "电影很好", "很好看的电影"] * 20
    train_tokenizer(texts, folder, "unigram", vocab_size=60, verbose=0)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert-gelu" / name, folder)
    return Transformer(folder, maxlen=24, task=Classification(["neg", "pos"]))


@pytest.mark.parametrize("method", METHODS)
def test_words_that_share_a_token_are_explained_as_one(unigram: Transformer, method: str) -> None:
    predictor = Predictor(unigram.get_classifier(), unigram)
    text = "这部电影很好看, 很好"
    explanation = predictor.explain(text, method=method, n_samples=50)
    (tokens,) = predictor.preproc.tokenizer.located([text])
    assert max(end - start for start, end in tokens.offsets) > 1
    assert "".join(explanation.words) == text.replace(" ", "")
    of_words = {i for start, end in explanation.texts[0].spans for i in (start, end)}
    inside = {
        i for start, end in tokens.offsets for i in range(start + 1, end) if text[i - 1] != " "
    }
    assert not of_words & inside
    assert explanation.seen.all()
    assert (explanation.scores != 0).all()


def test_pairs_are_explained_in_both_texts(predictor_of: MakePredictor) -> None:
    explanation = predictor_of().explain(("good film", "bad movie"), method="occlusion")
    assert explanation.words == ["good", "film", "bad", "movie"]
    assert explanation.to_frame().text.tolist() == [0, 0, 1, 1]
    logits = predictor_of().logits([("good film", "bad movie"), ("good film", "[MASK] movie")])
    number = int(logits[0].argmax())
    change = contrast(logits[0], number) - contrast(logits[1], number)
    assert explanation.scores[2] == pytest.approx(change, abs=1e-5)


def test_words_beyond_maxlen_are_said_not_to_be_seen(predictor_of: MakePredictor) -> None:
    predictor = predictor_of()
    explanation = predictor.explain("good film " * 20)
    assert explanation.seen.tolist() == [True] * 22 + [False] * 18
    assert "18 words not looked at" in explanation.summary
    assert explanation.to_frame().score.isna().sum() == 18
    assert 'title="not looked at"' in explanation._repr_html_()


def test_windows_are_explained_through_the_whole_text(predictor_of: MakePredictor) -> None:
    predictor = predictor_of(window=16)
    text = " ".join(["good film was bad"] * 10)
    explanation = predictor.explain(text)
    assert explanation.seen.all()
    assert abs(explanation.completeness_error) <= TOLERANCE * max(1, abs(explanation.difference))
    logits = predictor.logits([text, " ".join(["[MASK]"] * 40)])
    number = int(logits[0].argmax())
    difference = contrast(logits[0], number) - contrast(logits[1], number)
    assert explanation.difference == pytest.approx(difference, abs=1e-4)


def test_truncate_len_leaves_out_what_is_behind(predictor_of: MakePredictor) -> None:
    explanation = predictor_of().explain("good film, very bad", 3)
    assert explanation.words == ["good", "film", ","]
    np.testing.assert_allclose(explanation.scores, predictor_of().explain("good film,").scores)
    assert "2 words not looked at" in explanation.summary


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_texts_without_words_are_explained_by_nothing(
    predictor_of: MakePredictor, text: str
) -> None:
    for method in METHODS:
        explanation = predictor_of().explain(text, method=method, n_samples=5)
        assert not explanation.scores.any()
        assert explanation.difference == pytest.approx(0, abs=1e-6) or explanation.words


# Targets


def test_the_prediction_is_explained_and_all_targets_on_request(
    predictor_of: MakePredictor,
) -> None:
    predictor = predictor_of()
    one, two = predictor.explain(["good", TEXT])
    assert [one.target, two.target] == predictor.predict(["good", TEXT]) == [
        one.prediction, two.prediction,
    ]  # fmt: skip
    proba = predictor.predict_proba(TEXT)
    assert two.probability == pytest.approx(proba.max())
    every = predictor.explain(TEXT, all_targets=True)
    assert sorted(e.target for e in every) == predictor.get_classes()
    assert every[0].target == two.target
    assert [e.probability for e in every] == pytest.approx(sorted(proba, reverse=True))


def test_numbers_are_explained_in_their_own_units(predictor_of: MakePredictor) -> None:
    predictor = predictor_of("regression")
    text = "the film was great"
    stars, price = predictor.explain(text, all_targets=True, method="occlusion")
    assert (stars.target, price.target, price.probability) == ("stars", "price", None)
    whole, without = predictor.predict([text, "the [MASK] was great"])
    assert price.scores[1] == pytest.approx(whole[1] - without[1], abs=1e-3)


def test_entities_and_words_are_explained(predictor_of: MakePredictor) -> None:
    predictor = predictor_of("tagging")
    text = "John was not in 房间 with Mary good film"
    entities = predictor.predict(text, merge_tokens=True)
    assert entities
    found = predictor.explain(text, all_targets=True)
    assert [explanation.target for explanation in found] == [name for name, *_ in entities]
    one = predictor.explain(text, target=2, method="occlusion")
    assert (one.target, one.prediction) == ("not", predictor.predict(text)[2][1])
    named = predictor.explain(text, target="not", method="occlusion")
    np.testing.assert_array_equal(one.scores, named.scores)
    logits = predictor.logits([text.split(), text.replace("was", "[MASK]").split()])
    number = int(logits[0][2].argmax())
    change = contrast(logits[0][2], number) - contrast(logits[1][2], number)
    assert one.scores[1] == pytest.approx(change, abs=1e-5)


def test_answers_are_explained_by_their_start_and_end(predictor_of: MakePredictor) -> None:
    predictor = predictor_of("question-answering")
    example = EXAMPLES["question-answering"]
    explanation = predictor.explain(example, method="occlusion")
    assert explanation.target == explanation.prediction == predictor.predict(example)
    assert explanation.words[:3] == ["what", "movie", "?"]
    other = predictor.explain(example, target="great movie", method="occlusion")
    assert (other.target, other.probability) == ("great movie", None)
    # The sum of the two logits, at the tokens of "great" and "movie", with and without "bad".
    values = []
    for context in (example[1], example[1].replace("bad", "[MASK]")):
        logits = predictor.logits([(example[0], context)])[0]
        texts = [context[start:end] for start, end in logits.spans]
        place = logits.windows[0][2]
        first, last = place + texts.index("great"), place + texts.index("movie")
        values.append(logits.logits[0][first, 0] + logits.logits[0][last, 1])
    assert other.scores[other.words.index("bad")] == pytest.approx(values[0] - values[1], abs=1e-5)


def test_answers_in_long_contexts_are_explained_in_their_window(
    predictor_of: MakePredictor,
) -> None:
    predictor = predictor_of("question-answering")
    context = "good film and bad film and " * 8 + "great movie was it"
    explanation = predictor.explain(("what?", context), target="great movie")
    frame = explanation.to_frame()
    assert frame[frame.word == "great"].score.notna().all()
    assert not explanation.seen.all()
    assert abs(explanation.completeness_error) <= TOLERANCE * max(1, abs(explanation.difference))


def test_words_of_long_texts_are_explained_in_their_window(predictor_of: MakePredictor) -> None:
    predictor = predictor_of("tagging")
    text = " ".join(f"good film {word} bad" for word in ["was", "not", "very", "the"] * 4)
    for number in (0, 30, 63):
        explanation = predictor.explain(text, target=number)
        assert explanation.seen[number] and not explanation.seen.all()
        assert explanation.target == text.split()[number]
        bound = TOLERANCE * max(1, abs(explanation.difference))
        assert abs(explanation.completeness_error) <= bound


# Calls that cannot work


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("classification", {"method": "gradients"}, "method='gradients'"),
        ("classification", {"target": "po"}, "target='po'.*Did you mean 'pos'"),
        ("classification", {"target": 1}, "target=1; expected one of 'neg', 'pos', 'so-so'"),
        ("classification", {"target": "pos", "all_targets": True}, "not both"),
        ("classification", {"n_samples": 0}, "n_samples=0"),
        ("classification", {"truncate_len": 0}, "truncate_len=0"),
        ("classification", {"methods": "lime"}, "Did you mean 'method'"),
        ("tagging", {"target": 99}, "the number of one, 0 to 5"),
        ("tagging", {"target": "Jon"}, "Did you mean 'John'"),
        ("question-answering", {"target": "terrible"}, "an answer that is in the context"),
    ],
)
def test_what_cannot_be_explained_is_said(
    predictor_of: MakePredictor, task: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        predictor_of(task).explain(EXAMPLES[task], **arguments)


def test_outputs_without_names_are_refused() -> None:
    task = SimpleNamespace(name="ordinal", outputs=3, classes=[])
    with pytest.raises(ArgumentError, match="the 3 outputs of the task 'ordinal' have no names"):
        output_aims(task, np.zeros((1, 3)), TokenEncodings(np.zeros(1), np.array([0, 1]), None, 1))


def test_examples_of_another_kind_are_refused(predictor_of: MakePredictor) -> None:
    with pytest.raises(DataError, match="got int"):
        predictor_of().explain(3)
