"""Embedding folders and searching them: what is read, resumed, refused and shown."""

from __future__ import annotations

import io
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.artifacts.embeddings import Embeddings, read_embeddings, write_embeddings
from pipeline.building import embedding
from pipeline.commands import embed, embedding_parts
from pipeline.commands.embedding_parts import Parts, Row
from pipeline.errors import DataError, PipelineError, RunError
from tests.support.image_files import embedded, save
from tests.support.project import Project

SCREEN_ESCAPE = "\x1b[31m"


def write_images(count: int = 8) -> Path:
    """Write images in two folders, beside what is no image."""
    for number, image in enumerate(embedded(count)):
        folder = Path("photos", "a" if number % 2 else "b")
        save(folder / f"{number}.png", image, "L")
    Path("photos/notes.txt").write_text("no image")
    return Path("photos")


def some_embeddings(count: int = 3) -> Embeddings:
    features = np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)
    numbers = np.arange(count, dtype=np.int64)
    return Embeddings(
        "ab",
        "/photos",
        [f"ü/{n}.png" for n in range(count)],
        features,
        numbers,
        numbers + 9,
        {"x": "bad"},
    )


def damage_packed(whole: bytes) -> bytes:
    """The bytes of a file with paths that zlib cannot unpack."""
    start = whole.index(b"paths.npy") + len(b"paths.npy")
    return whole[:start] + b"\xff" * 4 + whole[start + 4 :]


def assert_equal(one: Embeddings, other: Embeddings) -> None:
    assert (one.encoder, one.root, one.unreadable) == (other.encoder, other.root, other.unreadable)
    assert list(one.paths) == list(other.paths)
    for name in ("features", "sizes", "times"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_embeddings_are_read_as_they_were_written(tmp_path: Path) -> None:
    held = some_embeddings()
    for ending in ("npz", "parquet"):
        if ending == "parquet":
            pytest.importorskip("pyarrow")
        path = tmp_path / f"x.{ending}"
        write_embeddings(path, held)
        first = path.read_bytes()
        assert_equal(read_embeddings(path), held)
        write_embeddings(path, held)
        assert path.read_bytes() == first
    with np.load(tmp_path / "x.npz") as plain:
        assert plain["paths"].tolist() == held.paths
        assert np.array_equal(plain["features"], held.features)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.artifacts.embeddings.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'cassle-pipeline\[parquet\]'"):
        write_embeddings(tmp_path / "x.parquet", some_embeddings())
    with pytest.raises(RunError, match=r"neither in \.npz nor in \.parquet"):
        write_embeddings(tmp_path / "x.csv", some_embeddings())


def test_files_of_another_kind_are_refused_and_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, paths=np.array([object()]), features=np.zeros((1, 2)))
    with pytest.raises(RunError, match="was not written by `cassle embed`"):
        read_embeddings(path)
    write_embeddings(path, some_embeddings())
    whole, numbers = path.read_bytes(), some_embeddings().features.tobytes()
    method = whole.index(b"PK\x01\x02") + 10
    misread = io.BytesIO()
    with zipfile.ZipFile(misread, "w") as archive:
        archive.writestr("paths.npy", b"\x93NUMPY\x01\x00\x08\x00{'descr(")
    for damaged in (
        whole[:-200],
        whole[:300],
        b"",
        whole.replace(numbers, bytes(len(numbers))),
        damage_packed(whole),
        whole[:method] + b"\x63" + whole[method + 1 :],  # packed in a way that nobody knows
        misread.getvalue(),  # NumPy's own header ends too early
    ):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"x\.npz is damaged or was not written"):
            read_embeddings(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="it is no file"):
        read_embeddings(path)


def test_the_nearest_point_most_nearly_the_same_way() -> None:
    features = np.array([[2, 0], [0, 3], [1, 1], [-1, 0], [0, 0]], np.float32)
    numbers = np.zeros(5, np.int64)
    held = Embeddings("", "", list("abcde"), features, numbers, numbers)
    found = held.nearest(np.array([5, 0], np.float32), 4)
    assert [name for name, _ in found] == ["a", "c", "b", "e"]
    assert [cosine for _, cosine in found] == pytest.approx([1, 0.5**0.5, 0, 0])


def test_a_state_and_its_export_embed_a_folder_alike(project: Project) -> None:
    project.trained(1)
    write_images()
    project.must("export", "1", "--output", "out", "--no-onnx")
    project.must("embed", "photos", "-o", "state.npz", "--state", "1")
    project.must("embed", "photos", "-o", "export.npz", "--encoder", "out", "--batch-size", "3")
    state, export = (read_embeddings(Path(f"{name}.npz")) for name in ("state", "export"))
    assert state.encoder == export.encoder
    assert state.paths == [
        *(f"a/{n}.png" for n in (1, 3, 5, 7)),
        *(f"b/{n}.png" for n in (0, 2, 4, 6)),
    ]
    assert np.allclose(state.features, export.features, atol=1e-5)

    encoder = pipeline.load_encoder(1)
    assert encoder.identity == state.encoder
    assert np.allclose(encoder(["photos/a/3.png"])[0], state.features[1], atol=1e-5)
    # The files hold the very pixels of the embedded set, so the features are those of the arrays.
    pixels = embedded(8)[[1, 3, 5, 7, 0, 2, 4, 6]][:, None].copy()
    assert np.allclose(encoder.encode(pixels), state.features, atol=1e-5)
    found = pipeline.embed("photos", encoder)
    assert np.allclose(found.features, state.features, atol=1e-5)


def test_a_rerun_embeds_only_what_is_new_or_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    root = write_images(7)
    encoder = pipeline.load_encoder(0)
    read: list[str] = []
    monkeypatch.setattr(embedding_parts, "PART_IMAGES", 2)
    kept = type(encoder).read

    def reading(self: object, path: Path) -> np.ndarray:
        read.append(path.name)
        if path.name == stop_at:
            raise DataError("out of memory")
        return kept(encoder, path)

    monkeypatch.setattr(type(encoder), "read", reading)
    monkeypatch.setattr(embedding, "AHEAD", 0)
    stop_at = "4.png"
    with pytest.raises(DataError, match="out of memory"):
        pipeline.embed(root, encoder, "out.npz", batch_size=2)
    assert not Path("out.npz").exists()
    assert len(list(Path(".out.npz.parts").iterdir())) == 2
    stop_at = ""
    read.clear()
    whole = pipeline.embed(root, encoder, "out.npz", batch_size=2)
    assert sorted(read) == ["2.png", "4.png", "6.png"]
    assert not Path(".out.npz.parts").exists()
    assert_equal(read_embeddings(Path("out.npz")), whole)
    in_peace = pipeline.embed(root, encoder)
    assert np.allclose(whole.features, in_peace.features, atol=1e-6)

    save(root / "c/9.png", embedded(9)[8], "L")
    save(root / "a/1.png", 255 - embedded(2)[1], "L")
    Path("photos/b/0.png").unlink()
    read.clear()
    later = pipeline.embed(root, encoder, "out.npz")
    assert sorted(read) == ["1.png", "9.png"]
    assert set(later.paths) == (set(whole.paths) | {"c/9.png"}) - {"b/0.png"}
    read.clear()
    pipeline.embed(root, encoder, "out.npz")
    assert read == []


def test_features_of_one_folder_are_never_given_to_another(project: Project) -> None:
    project.trained(0)
    encoder = pipeline.load_encoder(0)
    first, second = embedded(2)
    for folder, image in (("one", first), ("two", second)):
        save(Path(folder, "x.png"), image, "L")
        # As a camera that numbers from 1 and a copy to another disk: same name, size and time.
        content = Path(folder, "x.png").read_bytes()
        Path(folder, "x.png").write_bytes(content + bytes(4096 - len(content)))
        os.utime(Path(folder, "x.png"), ns=(9, 9))
    expected = pipeline.embed("two", encoder)
    kept = pipeline.embed("one", encoder, "x.npz")
    with pytest.raises(RunError, match=r"x\.npz holds features of another folder, .*/one; name"):
        pipeline.embed("two", encoder, "x.npz")
    assert_equal(read_embeddings(Path("x.npz")), kept)
    assert_equal(pipeline.embed("one/../one", encoder, "x.npz"), kept)
    assert_equal(pipeline.embed("two", encoder, "x.npz", replace=True), expected)

    # Nor are the parts that a killed run has left; damaged ones do not count either.
    stamps = Row(4096, 9, kept.features[0])
    parts = Parts(Path("y.npz"), encoder.identity, Path("one"))
    parts.add({"x.png": stamps})
    parts.flush()
    assert list(Parts(Path("y.npz"), encoder.identity, Path("one")).read(replace=False)) == [
        "x.png"
    ]
    (parts.folder / "1x.npz").write_bytes(b"another's")
    assert Parts(Path("y.npz"), encoder.identity, Path("one")).read(replace=False).keys() == {
        "x.png"
    }
    (parts.folder / "1x.npz").unlink()
    part = next(parts.folder.iterdir())
    part.with_name("000001.npz").write_bytes(damage_packed(part.read_bytes()))
    assert "x.png" in Parts(Path("y.npz"), encoder.identity, Path("one")).read(replace=False)
    assert_equal(pipeline.embed("two", encoder, "y.npz"), expected)
    assert not parts.folder.exists()


def test_a_system_that_does_not_say_which_cores_are_ours_has_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert embed._count_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert embed._count_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert embed._count_cores() == 1


def test_what_cannot_be_read_is_counted_and_named(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.trained(0)
    root = write_images(4)
    (root / "a/broken.jpg").write_bytes(b"no image")
    os.mkfifo(root / "b/pipe.png")
    Path(root / "b/nowhere.png").symlink_to("missing")
    Image.fromarray(np.full((40, 60), 40000, np.uint16)).save(root / "a/deep.png")
    Image.fromarray(np.zeros((30, 30, 4), np.uint8)).save(root / "a/clear.png")
    code, _, err = project.cassle("embed", "photos", "-o", "x.npz", "--state", "0")
    assert code == 0, err
    assert "3 images cannot be read: a/broken.jpg (no JPEG" in caplog.text
    assert "b/pipe.png (no regular file)" in caplog.text
    found = read_embeddings(Path("x.npz"))
    assert set(found.unreadable) == {"a/broken.jpg", "b/nowhere.png", "b/pipe.png"}
    assert len(found) == 6
    encoder = pipeline.load_encoder(0)
    places = {path: place for place, path in enumerate(found.paths)}
    # 40000 of 16 bits is 156 of 8; what is transparent is white.
    for name, value in (("a/deep.png", 40000 >> 8), ("a/clear.png", 255)):
        plain = encoder.encode(np.full((1, 1, 28, 28), value, np.uint8))[0]
        assert np.allclose(found.features[places[name]], plain, atol=1e-5)
    code, _, err = project.cassle(
        "embed", "photos", "-o", "y.npz", "--state", "0", "--on-bad-image", "error"
    )
    assert code == 2
    assert "error: photos/a/broken.jpg is no JPEG" in err
    assert not Path("y.npz").exists()


def test_bad_input_is_refused_in_one_line(project: Project) -> None:
    project.trained(0)
    write_images(2)
    Path("empty").mkdir()
    Path("other.npz").write_bytes(b"theirs")
    Path("bad").mkdir()
    Path("bad/x.png").write_bytes(b"")
    cases = {
        ("embed", "nowhere", "-o", "x.npz"): "nowhere is missing; name a folder of images",
        ("embed", "other.npz", "-o", "x.npz"): "other.npz is a file; name a folder of images",
        ("embed", "empty", "-o", "x.npz"): "empty holds no JPEG, PNG",
        ("embed", "photos", "-o", "x.csv"): "x.csv ends neither in .npz nor in .parquet",
        ("embed", "photos", "-o", "other.npz", "--state", "0"): "other.npz is damaged or was not",
        ("embed", "photos", "-o", "x.npz", "--state", "9"): "there is no state 9",
        ("embed", "photos", "-o", "x.npz", "--encoder", "empty"): "model.safetensors is missing",
        ("embed", "photos", "-o", "x.npz", "--encoder", "other.npz"): "was not written by this",
        ("embed", "photos", "-o", "x.npz", "--state", "0", "--encoder", "out"): "leave one of them",
        ("embed", "bad", "-o", "x.npz", "--state", "0"): "none of 1 images in bad can be read",
        ("search", "nowhere.png", "--in", "photos"): "nowhere.png is missing",
        ("search", "photos", "--in", "photos"): "photos is no image file",
        ("search", "photos/b/0.png", "--in", "nowhere"): "nowhere is missing",
        ("search", "photos/b/0.png", "--in", "photos/a/1.png"): "is neither a folder of images nor",
        ("search", "photos/b/0.png", "--in", "empty"): "empty holds no",
        ("search", "bad/x.png", "--in", "photos", "--state", "0"): "bad/x.png is no JPEG",
        ("search", "photos/b/0.png", "--in", "photos", "--page", "empty"): "empty is a folder",
        (
            "search",
            "photos/b/0.png",
            "--in",
            "photos",
            "--page",
            "params.yaml",
        ): "must end in .html",
    }
    for command, message in cases.items():
        assert message in project.refuses(*command), command
    project.must("embed", "photos", "-o", "x.npz", "--state", "0")
    write_embeddings(Path("x.npz"), some_embeddings())
    another = "holds features of another encoder"
    assert another in project.refuses("embed", "photos", "-o", "x.npz", "--state", "0")
    assert another in project.refuses("search", "photos/b/0.png", "--in", "x.npz", "--state", "0")
    project.must("embed", "photos", "-o", "x.npz", "--state", "0", "--force")
    assert len(read_embeddings(Path("x.npz"))) == 2


def test_a_search_prints_the_nearest_and_draws_them(project: Project) -> None:
    project.trained(0)
    root = write_images(6)
    hostile = "<script>alert(1)<b>.png"
    (root / "b" / hostile).write_bytes((root / "b/0.png").read_bytes())
    query = Path(f"q{SCREEN_ESCAPE}<b>.png")
    query.write_bytes((root / "b/0.png").read_bytes())
    Path("out").mkdir()
    out = project.must(
        "search", str(query), "--in", "photos", "-k", "3", "--state", "0", "--page", "out/near.html"
    )
    lines = [line.split(maxsplit=2) for line in out.strip().splitlines()[1:]]
    assert {lines[0][2].strip(), lines[1][2].strip()} == {"b/0.png", f"b/{hostile}"}
    assert [line[:2] for line in lines[:2]] == [["1", "1.000"], ["2", "1.000"]]
    assert len(lines) == 3
    page = Path("out/near.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;b&gt;.png" in page
    assert SCREEN_ESCAPE not in page
    assert "q\\u001b[31m&lt;b&gt;.png" in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)

    # An image of the folder itself is no answer, and nothing is embedded twice.
    kept = next(Path(".scratch/embeddings").glob("*.npz"))
    before = kept.stat().st_mtime_ns, read_embeddings(kept)
    out = project.must("search", "photos/a/1.png", "--in", str(kept), "-k", "20", "--state", "0")
    assert "a/1.png" not in out
    assert len(out.strip().splitlines()) == 1 + 6
    assert before[0] == kept.stat().st_mtime_ns
    (root / "b/2.png").unlink()
    project.must(
        "search", "photos/b/0.png", "--in", str(kept), "--state", "0", "--page", "out/near.html"
    )
    assert "cannot be read any more" in Path("out/near.html").read_text()


def test_the_package_offers_three_names_and_imports_nothing_before_they_are_used() -> None:
    assert set(pipeline.PUBLIC) == {"embed", "load_encoder", "open_run"}
    assert set(pipeline.PUBLIC) <= set(dir(pipeline))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pipeline.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_a_run_is_opened_with_its_numbers(project: Project) -> None:
    project.finished(3)
    run = pipeline.open_run()
    assert run.params["num_tasks"] == 3
    assert len(run.matrix) == 4
    with pytest.raises(PipelineError):
        pipeline.open_run("no-such-branch")
    with pytest.raises(PipelineError, match="the device 'tpu' is unknown"):
        pipeline.load_encoder(0, "tpu")


def test_a_folder_whose_path_is_not_utf_8_is_refused_before_any_work(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    photos = write_images(2)
    odd = Path(os.fsdecode(b"odd\xff"))
    odd.mkdir()
    photos.rename(odd / "photos")
    Path("link").symlink_to(odd / "photos")
    monkeypatch.setattr(embed, "embed", None)
    image = str(odd / "photos/b/0.png")
    for place in (str(odd), str(odd / "photos"), "link"):
        for command in (("embed", place, "-o", "x.npz"), ("search", image, "--in", place)):
            message = project.refuses(*command, "--state", "0")
            assert "odd\\udcff" in message, command
            assert "which is not UTF-8; rename it, or what it lies in" in message


def test_times_that_64_bits_do_not_hold_are_the_last_that_they_do(project: Project) -> None:
    project.trained(0)
    root = write_images(2)
    os.utime(root / "b/0.png", (9, 13_569_465_600))  # in the year 2400
    encoder = pipeline.load_encoder(0)
    found = pipeline.embed(root, encoder, "x.npz")
    last = np.iinfo(np.int64).max
    time = (root / "b/0.png").stat().st_mtime_ns  # as the file system holds it
    assert found.times[found.paths.index("b/0.png")] == min(time, last)
    assert_equal(pipeline.embed(root, encoder, "x.npz"), found)


def test_the_folder_one_is_in_and_those_above_it_are_folders_as_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    root = write_images(4)
    expected = pipeline.embed(root, pipeline.load_encoder(0))
    project.must("export", "0", "--output", "out", "--no-onnx")
    home = Path.cwd()
    for folder, place in ((root, "."), (root / "a", ".."), (root, "a/.."), (root, "a/../b/..")):
        monkeypatch.chdir(home / folder)
        project.must("embed", place, "-o", str(home / "x.npz"), "--encoder", str(home / "out"))
        assert list(read_embeddings(home / "x.npz").paths) == list(expected.paths), place
        (home / "x.npz").unlink()
    monkeypatch.chdir(home / root)
    said = project.must("search", "b/0.png", "--in", ".", "-k", "1", "--encoder", str(home / "out"))
    assert said.split()[-1] != "b/0.png"


def test_what_pillow_says_of_damaged_files_without_their_names_is_not_shown(
    project: Project, recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("always")  # here a warning would be an error
    project.trained(0)
    root = write_images(2)
    Image.new("L", (20, 24)).save(root / "a/whole.tif")
    whole = (root / "a/whole.tif").read_bytes()
    (root / "a/whole.tif").write_bytes(whole[:96])
    project.must("embed", "photos", "-o", "x.npz", "--state", "0")
    assert "a/whole.tif" in read_embeddings(Path("x.npz")).unreadable
    project.set({"dataset": "image_folder", "data.root": "photos"})
    project.cassle("check")
    assert [str(each.message) for each in recwarn if "PIL" in each.filename] == []
