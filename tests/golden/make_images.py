"""Writes `images/`: small drawings in many formats, and what `transformers` makes of them.

    pip install torch transformers==5.24.0 pillow==13.0.0 safetensors
    python tests/golden/make_images.py

Decoded pixels are those of `transformers.image_utils.load_image`, but of 16-bit grey: there they
are the upper 8 bits, by NumPy. Model inputs are those of the processors with the Pillow backend.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

OUT = Path(__file__).parent / "images"
HEIGHT, WIDTH = 17, 26

# As published checkpoints have them, smaller.
CONFIGS = {
    "vit": {
        "image_processor_type": "ViTImageProcessor",
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 12, "width": 12},
    },
    # Of the first years: a number for the size, no type.
    "vit-old": {
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "size": 20,
    },
    "deit": {
        "feature_extractor_type": "DeiTFeatureExtractor",
        "crop_size": 11,
        "size": 14,
        "resample": 3,
        "do_center_crop": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessorFast",
        "crop_size": {"height": 13, "width": 13},
        "size": {"shortest_edge": 13},
    },
    # Cut on two sides, filled with black on the others; odd differences.
    "bit": {
        "image_processor_type": "BitImageProcessor",
        "crop_size": {"height": 20, "width": 14},
        "size": {"shortest_edge": 15},
        "resample": 1,
        "do_normalize": False,
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": 9, "width": 15},
        "do_rescale": False,
        "image_mean": 127.5,
        "image_std": 127.5,
    },
}
MODEL_TYPES = {"vit-old": "vit", "deit": "deit"}


def drawing() -> np.ndarray:
    """Returns uint8 [HEIGHT, WIDTH, 4]: slopes of colour, a disc, a bar; half of it transparent."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    red, green = across * 9, 255 - down * 14
    blue = (across * down * 5) % 256
    disc = (down - 7) ** 2 + (across - 9) ** 2 < 22
    pixels = np.stack([red, green, blue, 90 + across * 6], axis=-1)
    pixels[disc] = [250, 230, 10, 255]
    pixels[12:15, 3:20] = [20, 30, 200, 0]
    return pixels.clip(0, 255).astype("uint8")


def write(folder: Path) -> None:
    """Writes the drawings."""
    rgba = Image.fromarray(drawing())
    rgb = rgba.convert("RGB")
    grey = rgb.convert("L")
    turned = Image.Exif()
    rgb.save(folder / "rgb.png")
    rgb.save(folder / "rgb.bmp")
    rgb.save(folder / "rgb.tiff", compression="tiff_lzw")
    rgb.save(folder / "rgb.jpg", quality=90)
    rgb.save(folder / "progressive.jpg", quality=80, progressive=True)
    rgb.save(folder / "lossless.webp", lossless=True)
    rgba.save(folder / "rgba.webp", lossless=True, exact=True)
    rgb.save(folder / "lossy.webp", quality=80)
    rgba.save(folder / "rgba.png")
    grey.save(folder / "grey.png")
    grey.save(folder / "grey.jpg", quality=90)
    grey.convert("1").save(folder / "bits.png")
    rgba.convert("LA").save(folder / "grey_alpha.png")
    palette = rgb.quantize(16)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_alpha.png", transparency=bytes(range(0, 256, 16)))
    palette.save(folder / "palette_one.png", transparency=3)
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    rgb.convert("CMYK").save(folder / "cmyk.tiff")
    frames = [rgb.rotate(90 * turn) for turn in range(3)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:], duration=50)
    frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    for orientation in range(2, 9):
        turned[0x0112] = orientation
        rgb.save(folder / f"exif_{orientation}.jpg", quality=90, exif=turned)
    turned[0x0112] = 6
    rgb.save(folder / "exif_6.png", exif=turned)
    deep().save(folder / "grey_16.png")
    deep().save(folder / "grey_16.tiff")


def deep() -> Image.Image:
    """Returns grey of 16 bits, from black to white."""
    values = np.linspace(0, 65535, HEIGHT * WIDTH).astype("uint16").reshape(HEIGHT, WIDTH)
    return Image.fromarray(values)


def decoded(path: Path) -> np.ndarray:
    if path.stem == "grey_16":
        return np.repeat((np.asarray(deep()) >> 8).astype("uint8")[..., None], 3, axis=-1)
    return np.asarray(load_image(str(path)))


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    write(OUT)
    files = sorted(path for path in OUT.iterdir())
    tensors = {f"decoded/{path.name}": decoded(path) for path in files}
    (OUT / "configs.json").write_text(json.dumps(CONFIGS, indent=1) + "\n")
    for name, config in CONFIGS.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "preprocessor_config.json").write_text(json.dumps(config))
            model = {"model_type": MODEL_TYPES.get(name, "clip")}
            (Path(folder) / "config.json").write_text(json.dumps(model))
            processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        for file in ("rgb.png", "exif_6.png", "grey.png"):
            picture = Image.fromarray(tensors[f"decoded/{file}"])
            values = processor(picture, return_tensors="np")["pixel_values"][0]
            tensors[f"{name}/{file}"] = np.ascontiguousarray(values.transpose(1, 2, 0))
    save_file(tensors, OUT / "expected.safetensors", metadata={"pillow": PIL.__version__})


if __name__ == "__main__":
    main()
