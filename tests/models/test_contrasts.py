"""Models that compare images with texts give PyTorch's numbers, and are saved as PyTorch's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import ktlite
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.models import from_config, from_pretrained
from ktlite.models.heads import EMBEDDING, ZERO_SHOT_IMAGE

NAMES = ["clip", "clip-old", "siglip"]
FIELDS = ("input_ids", "attention_mask")
TEXTS = ["a cat", "a photo of a dog and a cat", "dogs"]


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, golden: Path) -> tuple[Path, dict[str, np.ndarray], Any]:
    """A golden folder, what PyTorch says of it, and the model."""
    folder = golden / request.param
    model = ktlite.load_model(folder, task=ZERO_SHOT_IMAGE)
    return folder, load_file(folder / "expected.safetensors"), model


def given(expected: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ("pixel_values", "input_ids", "attention_mask")
    return {name: expected[name] for name in names if name in expected}


def test_logits_of_images_with_texts_are_pytorchs(case: Any) -> None:
    _, expected, model = case
    logits = np.asarray(model(given(expected)))
    assert logits.shape == (2, 3)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)


def test_pictures_and_texts_become_what_the_processors_make_and_the_vectors_are_pytorchs(
    case: Any,
) -> None:
    folder, expected, _ = case
    embedder = ktlite.get_embedder(folder)
    pictures = [expected["picture.0"], expected["picture.1"]]
    read = embedder.preproc.input.encode(pictures).batch(np.arange(2))
    np.testing.assert_allclose(read["pixel_values"], expected["pixel_values"], atol=1e-4)
    read = embedder.preproc.input.encode(TEXTS).batch(np.arange(3))
    np.testing.assert_array_equal(
        read["input_ids"], expected["input_ids"][:, : read["input_ids"].shape[1]]
    )
    np.testing.assert_allclose(embedder.embed(pictures), expected["image_embeds"], atol=1e-5)
    np.testing.assert_allclose(embedder.embed(TEXTS), expected["text_embeds"], atol=1e-5)
    unscaled = embedder.embed(TEXTS[0], normalize=False)
    assert abs(np.linalg.norm(unscaled) - 1) > 1e-3
    np.testing.assert_allclose(
        unscaled / np.linalg.norm(unscaled), expected["text_embeds"][0], atol=1e-5
    )


def test_saved_folder_holds_the_tensors_that_were_read(case: Any, tmp_path: Path) -> None:
    folder, _, model = case
    model.save_pretrained(tmp_path)
    before, after = (load_file(where / "model.safetensors") for where in (folder, tmp_path))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config == json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (tmp_path / "tokenizer.json").is_file()


@pytest.mark.torch
def test_new_weights_open_in_pytorch_with_the_same_logits(case: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModel

    folder, expected, _ = case
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = from_config(config, ZERO_SHOT_IMAGE, seed=3)
    model.save_pretrained(tmp_path)
    theirs, loading = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    inputs = {name: torch.from_numpy(array) for name, array in given(expected).items()}
    inputs["pixel_values"] = inputs["pixel_values"].permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = theirs.eval()(**inputs).logits_per_image.numpy()
    np.testing.assert_allclose(np.asarray(model(given(expected))), logits, atol=1e-5)


def test_errors_say_what_is_missing(golden: Path) -> None:
    folder = golden / "clip"
    model = ktlite.load_model(folder, task=ZERO_SHOT_IMAGE)
    with pytest.raises(ArgumentError, match="give pixel_values and input_ids"):
        model({"input_ids": np.ones((1, 4), "int32")})
    vectors = from_pretrained(folder, EMBEDDING)
    with pytest.raises(ArgumentError, match="one of them at a time"):
        vectors({"input_ids": np.ones((1, 4), "int32"), "pixel_values": np.ones((1, 16, 16, 3))})
    with pytest.raises(ArgumentError, match="task=None.*zero-shot-image-classification"):
        ktlite.load_model(folder, task=None)
    with pytest.raises(ArgumentError, match="task='text-classification'"):
        ktlite.load_model(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["rotary"] = True
    with pytest.raises(CheckpointError, match=r"text_config.*rotary"):
        from_config(config, ZERO_SHOT_IMAGE)
    with pytest.raises(CheckpointError, match="text_config=3"):
        from_config({**config, "text_config": 3}, ZERO_SHOT_IMAGE)


def test_siglips_sentencepiece_model_reads_texts_without_case_and_punctuation(
    golden: Path, tmp_path: Path
) -> None:
    """As T5's class reads the same model's, of what `SiglipTokenizer` makes of texts first."""
    piece_model = (golden / "writers" / "t5" / "spiece.model").read_bytes()
    texts = ["A photo, of 3 Cats!!", "It's {a}\n(dog): naïve [café]...  ", "..."]
    plain = ["a photo of 3 cats", "its a dog naïve café", ""]
    ids = []
    for kind, given in (("siglip", texts), ("t5", plain)):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "spiece.model").write_bytes(piece_model)
        (folder / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
        batch = Tokenizer(folder, 32).encode(given).batch(np.arange(3))
        ids.append([row[m == 1].tolist() for row, m in zip(*map(batch.get, FIELDS), strict=True)])
    assert ids[0] == ids[1]
    assert ids[0][2] == [1]  # the end alone
