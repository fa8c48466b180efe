"""The pixels that the ONNX model makes of a file are those of the pipeline's decoder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from pipeline.artifacts.encoder import Preprocessing
from pipeline.artifacts.image_graph import FilePixels
from pipeline.artifacts.portable import PortableFromFiles, to_onnx
from pipeline.building.encoder import Encoder
from pipeline.data.image_files.file_options import Keep
from pipeline.data.interpolation import Interpolation
from pipeline.reporting.card.snippets import onnx_snippet
from tests.support.networks import any_backbone

SHAPES = [(40, 57), (57, 40), (16, 16), (9, 9), (10, 200), (200, 10), (23, 31)]
BACKGROUND = (10, 200, 30)


def preprocessing(keep: Keep = "square", channels: int = 3, **changes: object) -> Preprocessing:
    given: dict[str, object] = {
        "image_size": 16,
        "mean": (0.49, 0.48, 0.45)[:channels],
        "std": (0.25, 0.24, 0.26)[:channels],
        "resize": 20,
        "background": BACKGROUND,
        "interpolation": "bilinear",
    }
    return Preprocessing(channels, keep=keep, **given | changes)  # type: ignore[arg-type]


def random_pixels(height: int, width: int) -> np.ndarray:
    generator = np.random.default_rng(height * 1000 + width)
    return generator.integers(0, 256, (height, width, 4), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("keep", "channels"), [("square", 3), ("square", 1), ("whole", 3)])
@pytest.mark.parametrize(("resize", "size"), [(16, 16), (20, 16), (32, 28)])
def test_pixels_of_any_shape_are_the_decoders(
    keep: Keep,
    channels: int,
    interpolation: Interpolation,
    resize: int,
    size: int,
    tmp_path: Path,
) -> None:
    how = preprocessing(keep, channels, interpolation=interpolation, resize=resize, image_size=size)
    encoder = Encoder(any_backbone("small_resnet", channels, "conv3"), how, "", "")
    for height, width in SHAPES:
        rgba = random_pixels(height, width)
        path = tmp_path / "image.png"
        Image.fromarray(rgba).save(path)
        expected = encoder.augment.normalize(torch.tensor(encoder.read(path))[None])
        expected = (expected * encoder.augment.std + encoder.augment.mean) * 255
        found = FilePixels(how)(torch.from_numpy(rgba)[None])
        assert found.shape == (1, channels, size, size)
        # Squares are equal byte for byte; of whole images a crop may lie between pixels.
        assert (found - expected).abs().max() < 1e-3, (height, width)


@pytest.mark.pipeline
def test_the_cards_code_gives_the_features_of_raw_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    how = preprocessing(interpolation="bicubic")
    torch.manual_seed(0)
    encoder = Encoder(any_backbone("small_resnet", 3, "conv3"), how, "", "")
    network = PortableFromFiles(encoder.backbone, how)
    Path("backbone.onnx").write_bytes(to_onnx(network, (21, 20, 4), {}))
    names: dict[str, object] = {}
    exec(compile(onnx_snippet("3, 16, 16", 8, how.resize), "card", "exec"), names)
    smooth = Image.fromarray(random_pixels(13, 9)).resize((270, 390))
    turned = Image.Exif()
    turned[0x0112] = 6
    smooth.convert("RGB").save("turned.jpg", exif=turned)
    smooth.save("transparent.png")
    smooth.convert("LA").save("grey.png")
    smooth.convert("RGB").quantize(32).save("palette.png")
    smooth.convert("RGB").convert("CMYK").save("inks.jpg")
    smooth.crop((0, 0, 40, 300)).convert("RGB").save("tall.webp", lossless=True)
    for path in sorted(set(tmp_path.iterdir()) - {tmp_path / "backbone.onnx"}):
        features = names["features"](path)  # type: ignore[operator]
        expected = encoder(path)
        assert features.shape == expected.shape == (1, 8)
        assert expected.std() > 1e-2
        assert np.abs(features - expected).max() < 1e-4, path
    session = onnxruntime.InferenceSession("backbone.onnx", providers=["CPUExecutionProvider"])
    batch = np.stack([random_pixels(30, 40), random_pixels(40, 30).transpose(1, 0, 2)])
    (both,) = session.run(["features"], {"images": batch})
    for row, image in zip(both, batch, strict=True):
        content = io.BytesIO()
        Image.fromarray(image).save(content, "png")
        Path("one.png").write_bytes(content.getvalue())
        assert np.abs(row - encoder("one.png")[0]).max() < 1e-4
