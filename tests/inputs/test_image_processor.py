"""`pixel_values` are those of `transformers`, from whatever `preprocessor_config.json` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.inputs.image_processor import ImageProcessor

FOLDER = Path(__file__).parents[1] / "golden" / "images"
CONFIGS = json.loads((FOLDER / "configs.json").read_text())
EXPECTED = load_file(FOLDER / "expected.safetensors")
with safe_open(FOLDER / "expected.safetensors", "numpy") as opened:
    SAME_PILLOW = opened.metadata()["pillow"].split(".")[0] == PIL.__version__.split(".")[0]
MODEL_TYPES = {"vit-old": "vit", "deit": "deit"}


def write(
    folder: Path, config: Any, model: Any = None, name: str = "preprocessor_config.json"
) -> Path:
    (folder / name).write_text(json.dumps(config))
    if model is not None:
        (folder / "config.json").write_text(json.dumps(model))
    return folder


def check(values: np.ndarray, expected: np.ndarray, processor: ImageProcessor) -> None:
    """Compares bit by bit; with another Pillow, which resizes a little otherwise, on average."""
    if SAME_PILLOW:
        np.testing.assert_array_equal(values, expected)
        return
    levels = np.array([1.0] * 3 if processor.mean is None else processor.std) / (
        processor.rescale or 1
    )
    assert np.mean(np.abs(values - expected) * levels) < 0.5


@pytest.mark.parametrize("name", CONFIGS)
def test_values_are_bit_by_bit_those_of_transformers(name: str, tmp_path: Path) -> None:
    model = {"model_type": MODEL_TYPES.get(name, "clip")}
    processor = ImageProcessor.of_checkpoint(write(tmp_path, CONFIGS[name], model))
    for file in ("rgb.png", "exif_6.png", "grey.png"):
        values = processor(FOLDER / file)
        assert values.dtype == np.float32
        assert values.shape == (*processor.size, 3)
        check(values, EXPECTED[f"{name}/{file}"], processor)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_saved_is_read_back_the_same(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, CONFIGS[name], {"model_type": MODEL_TYPES.get(name, "clip")})
    processor = ImageProcessor.of_checkpoint(folder)
    processor.save(tmp_path)
    (tmp_path / "config.json").unlink()
    assert ImageProcessor.of_checkpoint(tmp_path) == processor


@pytest.mark.torch
@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_opens_what_is_saved(name: str, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor
    from transformers.image_utils import load_image

    folder = write(tmp_path, CONFIGS[name], {"model_type": MODEL_TYPES.get(name, "clip")})
    ImageProcessor.of_checkpoint(folder).save(tmp_path)
    ours = ImageProcessor.of_checkpoint(tmp_path)
    theirs = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert theirs.to_dict()["image_processor_type"].endswith("ImageProcessor")
    picture = load_image(str(FOLDER / "exif_6.png"))
    values = theirs(picture, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(values.transpose(1, 2, 0), ours(picture))


def test_the_part_on_images_of_a_processor_config_is_read(tmp_path: Path) -> None:
    config = {"processor_class": "CLIPProcessor", "image_processor": CONFIGS["clip"]}
    write(tmp_path, config, name="processor_config.json")
    values = ImageProcessor.of_checkpoint(tmp_path)(FOLDER / "rgb.png")
    check(values, EXPECTED["clip/rgb.png"], ImageProcessor.of_checkpoint(tmp_path))


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (None, (224, 224)),
        ({"model_type": "vit", "image_size": 32}, (32, 32)),
        ({"model_type": "vit", "image_size": [32, 48]}, (32, 48)),
        ({"model_type": "clip", "vision_config": {"image_size": 28}}, (28, 28)),
        ({"model_type": "vit", "image_processor": None}, (224, 224)),
    ],
)
def test_a_checkpoint_without_settings_gets_those_of_vit_in_its_own_size(
    model: Any, size: tuple[int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if model is not None:
        (tmp_path / "config.json").write_text(json.dumps(model))
    caplog.set_level("INFO", "ktlite")
    processor = ImageProcessor.of_checkpoint(tmp_path)
    assert processor == ImageProcessor(size=size, resize=size)
    assert f"has no preprocessor_config.json: pictures are resized to {size[0]} x {size[1]}" in (
        caplog.text
    )
    pixels = np.full((10, 10, 3), [0, 51, 255], "uint8")
    np.testing.assert_allclose(processor(pixels)[3, 4], [-1, -0.6, 1], atol=1e-7)


def test_defaults_are_those_of_the_named_processor(tmp_path: Path) -> None:
    for name, (size, resize, resample, crop) in {
        "ViTImageProcessor": ((224, 224), (224, 224), 2, False),
        "DeiTImageProcessorFast": ((224, 224), (256, 256), 3, True),
        "CLIPFeatureExtractor": ((224, 224), 224, 3, True),
        "BitImageProcessorPil": ((224, 224), 224, 3, True),
        "SiglipImageProcessor": ((224, 224), (224, 224), 3, False),
    }.items():
        config = {"image_processor_type": name, "do_resize": None}
        found = ImageProcessor.of_checkpoint(write(tmp_path, config))
        expected = (size, resize, resample, crop)
        assert (found.size, found.resize, found.resample, found.crop) == expected


def test_another_size_keeps_the_proportion_of_what_is_cut_off(tmp_path: Path) -> None:
    def sizes(config: Any, size: Any) -> tuple[Any, Any]:
        processor = ImageProcessor.of_checkpoint(write(tmp_path, config), size=size)
        return processor.size, processor.resize

    assert sizes(CONFIGS["vit"], 24) == ((24, 24), (24, 24))
    assert sizes(CONFIGS["vit"], (24, 36)) == ((24, 36), (24, 36))
    assert sizes(CONFIGS["deit"], 22) == ((22, 22), (28, 28))
    assert sizes(CONFIGS["clip"], [26, 13]) == ((26, 13), 26)
    shorter = {"image_processor_type": "CLIPImageProcessor", "do_center_crop": False}
    assert sizes(shorter, 24) == ((24, 24), (24, 24))


def test_what_is_not_resized_has_to_have_the_size(tmp_path: Path) -> None:
    config = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "size": 4}
    processor = ImageProcessor.of_checkpoint(write(tmp_path, config))
    grey = np.full((4, 4), 255, "uint8")
    np.testing.assert_array_equal(processor(grey), np.ones((4, 4, 3), "float32"))
    with pytest.raises(DataError, match=r"has 5 x 4 pixels; expected 4 x 4, .*do_resize is false"):
        processor(np.zeros((4, 5), "uint8"))
    assert processor.resized(6).resize == (6, 6)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"do_resze": True}, "does not know: do_resze. Did you mean 'do_resize'?"),
        ({"do_thumbnail": False}, "ktlite does not know: do_thumbnail"),
        ({"image_processor_type": "DetrImageProcessor"}, "is not known; expected one of 'ViTImage"),
        ({"image_processor_type": "VitImageProcessor"}, "Did you mean 'ViTImageProcessor'?"),
        ({"crop_pct": 0.9}, "crop_pct=0.9 is not supported"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order=True is not supported"),
        ({"do_pad": True}, "do_pad=True is not supported"),
        ({"size": {"longest_edge": 12}}, "size={'longest_edge': 12} is not supported"),
        ({"size": {"shortest_edge": 12}}, "gives pictures of unequal size"),
        ({"size": 0}, "size=0 is not supported; expected pixels"),
        ({"size": [12, 12, 3]}, "size=[12, 12, 3] is not supported"),
        ({"do_center_crop": True}, "there is no crop_size"),
        ({"do_center_crop": True, "crop_size": {"shortest_edge": 2}}, "expected height and width"),
        ({"resample": 9}, "resample=9; expected a whole number from 0 to 5"),
        ({"resample": "bilinear"}, "resample='bilinear'"),
        ({"do_resize": "yes"}, "do_resize='yes'; expected a boolean"),
        ({"rescale_factor": 0}, "rescale_factor=0; expected a number above 0"),
        ({"image_mean": [0.5]}, "image_mean=[0.5]; expected three numbers"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std=(0.5, 0.5, 0.0); expected numbers above 0"),
    ],
)
def test_settings_that_are_not_understood_are_refused(
    config: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as raised:
        ImageProcessor.of_checkpoint(write(tmp_path, config))
    assert says in str(raised.value)
    assert "preprocessor_config.json" in str(raised.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    config = {"resample": -1, "size": "small", "sigma": 2, "image_mean": []}
    with pytest.raises(CheckpointError, match="4 problems"):
        ImageProcessor.of_checkpoint(write(tmp_path, config))


def test_fields_without_effect_are_passed_over(tmp_path: Path) -> None:
    config = {
        "image_processor_type": "ViTImageProcessor",
        "_valid_processor_keys": ["images"],
        "do_convert_rgb": None,
        "do_pad": False,
        "crop_pct": None,
        "data_format": "channels_first",
        "processor_class": "X",
    }
    assert ImageProcessor.of_checkpoint(write(tmp_path, config)) == ImageProcessor()


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_damaged_files_are_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match="valid JSON|expected a JSON object"):
        ImageProcessor.of_checkpoint(tmp_path)


@pytest.mark.parametrize("size", [0, "224", [224], [224, 0]])
def test_a_model_of_no_size_is_told(size: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"image_size": size}))
    with pytest.raises(CheckpointError, match="image_size=.*expected a number of pixels"):
        ImageProcessor.of_checkpoint(tmp_path)


@pytest.mark.parametrize("size", [0, -4, 2.5, "224", (224,), (224, 0), True, None])
def test_other_sizes_are_refused(size: Any) -> None:
    with pytest.raises(ArgumentError, match="expected pixels, as 224 or"):
        ImageProcessor().resized(size)
