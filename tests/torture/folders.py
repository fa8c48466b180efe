"""Random folders of images: does each give splits or one clear error, at once?

    python -m tests.torture.folders --trials 1000

Each trial makes a tree of random folders, names, links, special files and kinds of images, and
cuts it with random params in a process of its own, which may end with exit code 0 or 2 alone.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.image_files.file_options import FileOptions, Reading
from pipeline.data.image_files.survey import read_headers, survey_folder
from pipeline.errors import DataError
from tests.support.streams import cut

SECONDS = 2.0  # a trial may take
NAMES = [
    "cat", "dog", "owl", "train", "test", "val", "Train", "valid", "16x16", "a b", "caf\u00e9", "<b>", "|", "x\ny",
    "\x1b[31m", "bad\udcff", "\u202e", "n" * 200, ".hidden", "__MACOSX", "0", "10", "-rf", "*", "'", '"', "\\",
]  # fmt: skip
ENDINGS = [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".gif", ".txt", "", ".png.txt"]
MODES = ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F", "I"]


def draw_image(rng: random.Random) -> bytes:
    """Return the bytes of an image of a random mode, size and format; some are damaged."""
    mode, size = rng.choice(MODES), (rng.choice([1, 3, 4, 9, 40]), rng.choice([1, 4, 7, 30]))
    pixels = np.random.default_rng(rng.getrandbits(30)).integers(
        0, 256, (size[1], size[0], 4), np.uint8
    )
    if mode in ("I;16", "F", "I"):
        kinds = {"I;16": np.uint16, "F": np.float32, "I": np.int32}
        image = Image.fromarray((pixels[..., 0].astype(np.int64) * 300).astype(kinds[mode]))
    else:
        image = Image.fromarray(pixels).convert(mode)
    out = io.BytesIO()
    for kind in rng.sample(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"], 6):
        try:
            image.save(out, kind)
            break
        except (OSError, ValueError, KeyError):
            out = io.BytesIO()
    content = bytearray(out.getvalue())
    if content and rng.random() < 0.1:
        del content[rng.randrange(len(content)) :]
    if content and rng.random() < 0.1:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def make_tree(root: Path, rng: random.Random, depth: int) -> None:
    """Fill a folder with random files, links and folders."""
    root.mkdir(exist_ok=True)
    for _ in range(rng.choice([0, 1, 2, 6, 12])):
        path = root / (rng.choice(NAMES) + str(rng.randrange(9)) + rng.choice(ENDINGS))
        what = rng.random()
        if os.path.lexists(path):
            continue
        if what < 0.9:
            path.write_bytes(draw_image(rng))
        elif what < 0.93:
            os.mkfifo(path)
        elif what < 0.97:
            targets = ["nowhere", path, root, root.parent, "/dev/zero", "/"]
            path.symlink_to(rng.choice(targets))
        else:
            path.write_bytes(b"")
    for _ in range(rng.choice([0, 2, 3]) if depth else 0):
        path = root / rng.choice(NAMES)
        if not os.path.lexists(path):
            make_tree(path, rng, depth - 1)
            if rng.random() < 0.1:
                (root / f"link{len(list(root.iterdir()))}").symlink_to(path)


def cut_randomly(root: Path, scratch: Path, rng: random.Random) -> None:
    """Cut a folder into tasks, with random params."""
    folders = rng.random() < 0.3
    options = FileOptions(
        resize=16,
        on_bad_image=rng.choice(["error", "skip"]),
        holdout=rng.choice([0.0, 0.2, 0.5]),
        holdout_by=rng.choice(["file", "content", "name"]),
        duplicates=rng.choice(["keep", "drop", "error"]),
        common_classes=rng.random() < 0.2,
        folders=tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
        if folders
        else None,
    )
    source = ImageFolder(root, options, Reading("cache", 2, scratch))
    survey_folder(root)
    for part in ("train", "test"):
        read_headers(root, list(map(str, source.keys(part))))  # type: ignore[arg-type]
    scenario = "folders" if folders else rng.choice(["class", "data", "domain"])
    tasks = len(options.folders or ()) if folders else rng.choice([1, 2, 3])
    cut(source, scenario, max(1, tasks))


def run_trial(seed: int, place: Path) -> tuple[int, float]:
    """Run a trial in a process of its own; return its exit code, or minus a signal, and seconds."""
    rng = random.Random(seed)
    make_tree(place / "images", rng, 3)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            cut_randomly(place / "images", place / "scratch", rng)
            code = 0
        except DataError:
            code = 2
        except BaseException as error:
            print(f"seed {seed}: {type(error).__name__}: {error!r}", flush=True)
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), time.monotonic() - began


def main() -> None:
    """Run the trials; exit code 1 if one ended otherwise than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    codes: dict[int, int] = {}
    slowest = (0.0, -1)
    for seed in range(given.seed, given.seed + given.trials):
        place = Path(tempfile.mkdtemp(prefix="folders-"))
        try:
            code, seconds = run_trial(seed, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        codes[code] = codes.get(code, 0) + 1
        slowest = max(slowest, (seconds, seed))
    print(f"exit codes {codes}; the slowest took {slowest[0]:.2f} s (seed {slowest[1]})")
    if set(codes) - {0, 2} or slowest[0] > SECONDS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
