"""Cut the embedded subset out of the full Fashion-MNIST.

    python data/fashion_mnist/cut.py FOLDER_WITH_THE_FOUR_FULL_FILES

Takes the first 1,000 training and the first 500 test images of each class, in
the order of the full files, and writes them in the same gzipped idx format
beside this script, with SHA256SUMS. The output is the same to the byte on every
run: the choice has no random part, and the gzip header carries neither a name
nor a time.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

PER_CLASS = {"train": 1000, "t10k": 500}
HERE = Path(__file__).parent


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted indices of the first ``count`` images of each class."""
    chosen = [np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def idx_bytes(array: np.ndarray) -> bytes:
    """Encode an array of uint8 as idx: magic number, big-endian sizes, data."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def main(full: Path) -> None:
    """Write the four subset files and their checksums."""
    sums = []
    for part, count in PER_CLASS.items():
        names = (f"{part}-labels-idx1-ubyte.gz", f"{part}-images-idx3-ubyte.gz")
        labels = np.frombuffer(gzip.decompress((full / names[0]).read_bytes())[8:], np.uint8)
        images = np.frombuffer(gzip.decompress((full / names[1]).read_bytes())[16:], np.uint8)
        images = images.reshape(len(labels), 28, 28)
        chosen = first_of_each_class(labels, count)
        for name, array in zip(names, (labels[chosen], images[chosen]), strict=True):
            packed = gzip.compress(idx_bytes(array), compresslevel=9, mtime=0)
            (HERE / name).write_bytes(packed)
            sums.append(f"{hashlib.sha256(packed).hexdigest()}  {name}")
    (HERE / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
