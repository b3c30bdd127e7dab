"""Texts written of sounds: languages and tasks, learned, predicted, saved, served."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.inputs.input import find_input
from ktlite.inputs.transcripts import OPEN, Transcripts
from ktlite.models import from_pretrained
from ktlite.models.auto import read_spec
from ktlite.tasks import Transcription
from ktlite.tasks.error_rates import count_errors, error_rates

pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("jiwer")

START, EN, DE, FR, TRANSLATE, TRANSCRIBE, NO_TIMES = 257, 258, 259, 260, 261, 262, 266
LANGUAGES = (EN, DE, FR)
TEXTS = ["guten Morgen", "ja", "nein danke", "so ist es"]


def sounds(count: int = 4) -> list[Any]:
    random = np.random.default_rng(0)
    lengths = (8_000, 16_000, 4_000, 12_000)
    made = [(0.1 * random.standard_normal(n)).astype("float32") for n in lengths]
    return [(made[i % 4], 16_000) for i in range(count)]


@pytest.fixture(scope="module")
def folder(golden: Path) -> Path:
    return golden / "whisper"


@pytest.fixture(scope="module")
def transcripts(folder: Path) -> Transcripts:
    found = Transcripts.of_checkpoint(folder, read_spec(folder))
    assert found is not None
    return found


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Returns a copy of the checkpoint whose generation_config.json has other fields."""

    def copy(drop: tuple[str, ...] = (), **fields: Any) -> Path:
        shutil.copytree(folder, tmp_path / "copy")
        file = tmp_path / "copy" / "generation_config.json"
        said = {k: v for k, v in json.loads(file.read_text()).items() if k not in drop}
        file.write_text(json.dumps({**said, **fields}))
        return tmp_path / "copy"

    return copy


# The tokens


@pytest.mark.parametrize(
    ("name", "prompt", "options"),
    [
        ("detected", [START, OPEN, TRANSCRIBE, NO_TIMES], {}),
        ("german", [START, DE, TRANSCRIBE, NO_TIMES], {}),
        ("translated", [START, FR, TRANSLATE, NO_TIMES], {}),
        ("beams", [START, EN, TRANSCRIBE, NO_TIMES], {"num_beams": 3, "length_penalty": 0.7}),
        ("english", [START, NO_TIMES], {}),
    ],
)
def test_tokens_are_those_of_pytorch(
    folder: Path, name: str, prompt: list[int], options: dict[str, Any]
) -> None:
    expected = load_file(folder / "expected.safetensors")
    model = from_pretrained(folder, "automatic-speech-recognition")
    inputs = {
        "input_features": expected["input_features"],
        "decoder_input_ids": np.tile(np.array(prompt, "int32"), (3, 1)),
    }
    found = model.generate(
        inputs, max_new_tokens=12, no_repeat_ngram_size=2, among=LANGUAGES, **options
    )
    np.testing.assert_array_equal(found[:, len(prompt) :], expected[f"spoken.{name}"])
    if OPEN in prompt:
        assert set(found[:, 1]) <= set(LANGUAGES)
        one = {key: value[:1] for key, value in inputs.items()}
        streamed = model.stream(one, max_new_tokens=12, no_repeat_ngram_size=2, among=LANGUAGES)
        assert list(streamed) == list(expected[f"spoken.{name}"][0])


def test_one_place_is_open_and_needs_tokens_to_choose_from(folder: Path) -> None:
    model = from_pretrained(folder, "automatic-speech-recognition")
    for prompt, among in (([START, OPEN, OPEN], LANGUAGES), ([START, OPEN], ())):
        inputs = {
            "input_features": np.zeros((1, 100, 10), "float32"),
            "decoder_input_ids": np.array([prompt], "int32"),
        }
        with pytest.raises(ArgumentError, match="one column of -1"):
            model.generate(inputs, among=among)


def test_few_sounds_at_a_time_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_file(folder / "expected.safetensors")
    model = from_pretrained(folder, "automatic-speech-recognition")
    inputs = {"input_features": expected["input_features"]}
    for options in ({}, {"num_beams": 3}):
        whole = model.generate(inputs, max_new_tokens=5, **options)
        with monkeypatch.context() as patch:
            patch.setattr("ktlite.models.writing._SCORES", 2 * 4 * 4 * 50**2)
            np.testing.assert_array_equal(
                model.generate(inputs, max_new_tokens=5, **options), whole
            )


# What texts begin with


@pytest.mark.parametrize(
    ("language", "task", "expected"),
    [
        (None, "transcribe", [START, OPEN, TRANSCRIBE, NO_TIMES]),
        ("de", "transcribe", [START, DE, TRANSCRIBE, NO_TIMES]),
        (" German", "translate", [START, DE, TRANSLATE, NO_TIMES]),
        ("<|fr|>", "transcribe", [START, FR, TRANSCRIBE, NO_TIMES]),
    ],
)
def test_prompts(
    transcripts: Transcripts, language: str | None, task: str, expected: list[int]
) -> None:
    assert transcripts.prompt(language, task).tolist() == expected


@pytest.mark.parametrize(
    ("language", "task", "message"),
    [
        ("klingon", "transcribe", r"language='klingon' is none of the 3 languages.*en"),
        ("es", "speak", r"(?s)task='speak'.*transcribe.*language='es'"),
    ],
)
def test_prompts_that_there_are_not(
    transcripts: Transcripts, language: str, task: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        transcripts.prompt(language, task)


def test_a_checkpoint_of_english_alone(changed: Callable[..., Path]) -> None:
    folder = changed(drop=("lang_to_id", "task_to_id"), is_multilingual=False)
    found = Transcripts.of_checkpoint(folder, read_spec(folder))
    assert found is not None and not found.languages
    assert found.prompt().tolist() == found.prompt("english").tolist() == [START, NO_TIMES]
    for language, task in ((None, "translate"), ("de", "transcribe")):
        with pytest.raises(ArgumentError, match="English alone"):
            found.prompt(language, task)


def test_languages_of_older_files_are_those_of_the_tokenizer(changed: Callable[..., Path]) -> None:
    folder = changed(drop=("lang_to_id", "task_to_id", "no_timestamps_token_id"))
    found = Transcripts.of_checkpoint(folder, read_spec(folder))
    assert found is not None
    assert found.languages == {"en": EN, "de": DE, "fr": FR}
    assert found.prompt("de", "translate").tolist() == [START, DE, TRANSLATE, NO_TIMES]


def test_tokens_of_another_checkpoint_are_refused(changed: Callable[..., Path]) -> None:
    folder = changed()
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace("<|startoftranscript|>", "<|sot|>"))
    with pytest.raises(CheckpointError, match=r"without <\|startoftranscript\|>.*another"):
        Transcripts.of_checkpoint(folder, read_spec(folder))


def test_texts_to_be_written(transcripts: Transcripts, caplog: pytest.LogCaptureFixture) -> None:
    prompt = transcripts.prompt("de")
    encodings = transcripts.encode(["ja", "你好", "x" * 60], prompt)
    batch = encodings.batch(np.arange(2))
    first = batch["labels"][0]
    first = first[first != -100]
    assert batch["input_ids"][0, : len(first)].tolist() == [START, *first[:-1]]
    assert first.tolist()[:3] == [DE, TRANSCRIBE, NO_TIMES] and first[-1] == transcripts.end
    assert transcripts.decode(first) == " ja"
    second = batch["labels"][1]
    assert transcripts.decode(second[second != -100]) == "你好"
    assert encodings.lengths[2] == 40
    assert "1 text of more than 40 tokens" in caplog.text
    assert transcripts.decode(np.array([NO_TIMES + 1, first[4], NO_TIMES + 9])) == "j"


# Learned and used


@pytest.fixture(scope="module")
def learner(folder: Path) -> Any:
    made = ktlite.get_learner(
        folder, (sounds(16), TEXTS * 4), (sounds(), TEXTS), batch_size=4, verbose=0, check=False,
        task=Transcription(language="german", max_new_tokens=16),
    )  # fmt: skip
    made.fit_onecycle(1e-2, 25, verbose=0)
    return made


def test_learns_to_write_what_it_hears(learner: Any) -> None:
    figures = learner.metrics()
    assert list(figures) == ["loss", "perplexity", "accuracy", "wer", "cer"]
    assert figures["accuracy"] > 0.9
    assert figures["cer"] < 0.6
    predictor = learner.get_predictor()
    heard = predictor.predict(sounds())
    assert heard == [predictor.predict(sound) for sound in sounds()]
    assert error_rates(count_errors(TEXTS, heard))["cer"] == pytest.approx(figures["cer"])
    assert sum(text in TEXTS for text in heard) >= 2
    learner.view_top_losses(1)


def test_loss_is_that_of_the_model(learner: Any) -> None:
    from ktlite.tasks.losses import scored_cross_entropy

    inputs, labels = learner.val_data.examples(np.arange(4), (0, 0))
    assert labels[:, :3].tolist() == [[DE, TRANSCRIBE, NO_TIMES]] * 4
    loss = float(scored_cross_entropy()(labels, learner.model(inputs)))
    assert learner.metrics()["loss"] == pytest.approx(loss, rel=1e-4)


def test_options_of_a_prediction(learner: Any) -> None:
    predictor = learner.get_predictor()
    sound = sounds()[0]
    model, task = predictor.model, predictor.preproc.task
    for options, prompt in (
        ({"language": "fr"}, [START, FR, TRANSCRIBE, NO_TIMES]),
        ({"language": None, "task": "translate"}, [START, OPEN, TRANSLATE, NO_TIMES]),
        ({"num_beams": 3}, [START, DE, TRANSCRIBE, NO_TIMES]),
    ):
        inputs = predictor.preproc.encode([sound]).batch(np.arange(1))
        inputs["decoder_input_ids"] = np.array([prompt], "int32")
        beams = {k: v for k, v in options.items() if k == "num_beams"}
        (ids,) = model.write(inputs, max_new_tokens=16, among=LANGUAGES, **beams)
        expected = predictor.preproc.input.transcripts.decode(ids).strip()
        assert predictor.predict(sound, **options) == expected
    assert (task.language, task.task) == ("german", "transcribe")
    with pytest.raises(ArgumentError, match="language='es' is none of"):
        predictor.predict(sound, language="es")
    with pytest.raises(ArgumentError, match="no probabilities"):
        predictor.predict_proba(sound)


def test_saved_and_loaded(learner: Any, tmp_path: Path) -> None:
    predictor = learner.get_predictor()
    expected = predictor.predict(sounds())
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict(sounds()) == expected
    assert loaded.preproc.task.get_config() == predictor.preproc.task.get_config()
    assert loaded.preproc.input.transcripts.languages == {"en": EN, "de": DE, "fr": FR}
    assert "".join(loaded.stream(sounds()[0])) == expected[0]
    again = ktlite.get_learner(
        tmp_path / "saved", (sounds(8), TEXTS * 2), (sounds(), TEXTS), verbose=0, check=False,
        task=Transcription(language="de"),
    )  # fmt: skip
    assert again.metrics()["accuracy"] == pytest.approx(learner.metrics()["accuracy"])


@pytest.mark.torch
def test_pytorch_opens_a_predictor(learner: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "saved")
    model = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "saved")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "saved")
    for samples, rate in sounds():
        features = processor(samples, sampling_rate=rate, return_tensors="pt").input_features
        with torch.no_grad():
            ids = model.eval().generate(features, language="de", max_new_tokens=16)
        (heard,) = processor.batch_decode(ids, skip_special_tokens=True)
        assert heard.strip() == predictor.predict((samples, rate))


def test_texts_of_no_language_are_taken_for_english(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = ktlite.get_learner(
            folder, (sounds(8), TEXTS * 2), task="automatic-speech-recognition", verbose=0,
            check=False,
        )  # fmt: skip
    assert "the texts are taken for English" in caplog.text
    assert made.preproc.task.language == "en"
    labels = made.train_data.examples(np.arange(1), (0, 0))[1]
    assert labels[0, 0] == EN


def test_what_is_refused(folder: Path, golden: Path) -> None:
    options: dict[str, Any] = {"verbose": 0, "check": False}
    data = (sounds(8), TEXTS * 2)
    with pytest.raises(ArgumentError, match="language='klingon'"):
        ktlite.get_learner(folder, data, task=Transcription(language="klingon"), **options)
    with pytest.raises(ArgumentError, match="of models that hear sounds and write texts"):
        ktlite.get_learner(golden / "wav2vec2", data, task="transcription", **options)
    with pytest.raises(DataError, match="expected a text to write"):
        ktlite.get_learner(folder, (sounds(8), [1.5] * 8), task="transcription", **options)
    with pytest.raises(ArgumentError, match="num_beam"):
        Transcription(num_beam=3)
    assert find_input("sound").of_checkpoint(golden / "wav2vec2").transcripts is None


def test_counted_errors() -> None:
    counted = count_errors(["a b c", "", "so  it is"], ["a x c d", "oh no", "so it is "])
    np.testing.assert_array_equal(counted["words"], [[2, 3], [2, 0], [0, 3]])
    assert error_rates(counted)["wer"] == pytest.approx(4 / 6)
    assert counted["characters"][2].tolist() == [0, 8]


def test_long_sounds_are_heard_as_a_whole(learner: Any) -> None:
    predictor = learner.get_predictor()
    silence = np.zeros(4_800, "float32")
    parts = [sound[:11_200] for sound, _ in sounds()[:2]]
    long = np.concatenate([parts[0], silence, parts[1], silence])
    short = sounds()[2]
    both = predictor.predict([(long, 16_000), short])
    assert both[1] == predictor.predict(short)
    encodings = predictor.preproc.encode([(long, 16_000)])
    assert len(encodings) == 3  # the second pause is beyond what is heard at once
    rows = [encodings.take(np.array([0])).batch(np.array([row])) for row in range(3)]
    model, decode = predictor.model, predictor.preproc.input.transcripts.decode
    texts = []
    for row in rows:
        row["decoder_input_ids"] = encodings.prompt[None]
        texts.append(decode(model.write(row, max_new_tokens=16)[0]))
    assert both[0] == "".join(texts).strip()
    assert "".join(predictor.stream((long, 16_000))) == both[0]
    timed = predictor.predict((long, 16_000), return_timestamps=True, suppress_tokens=[40])
    assert all(0 <= begin <= end <= len(long) / 16_000 + 1 for begin, end, _ in timed)


def test_long_sounds_to_learn_from(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = [(np.tile(sounds()[0][0], 5), 16_000), *sounds(7)]
    made = ktlite.get_learner(
        folder, (items, TEXTS * 2), task=Transcription("de"), verbose=0, check=False, val_pct=0.25
    )
    assert "the first part alone is learned" in caplog.text
    assert len(made.train_data) + len(made.val_data) == 8
