"""Models that are named: fetched once through timm, which these tests stand in for."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pipeline import layout
from pipeline.artifacts import fetched_weights
from pipeline.artifacts.plans.init import InputRecipe
from pipeline.artifacts.weights import find_weights, read_recipe
from pipeline.errors import StateError

WEIGHTS = {"conv1.weight": torch.arange(4.0).reshape(2, 2).T}
CONFIG = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.6), "input_size": (3, 64, 64)}


class Hub:
    """Stands in for timm and the network behind it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.problem: Exception | None = None

    def create_model(self, name: str, *, pretrained: bool, num_classes: int) -> SimpleNamespace:
        assert pretrained
        assert num_classes == 0
        self.asked.append(name)
        if self.problem is not None:
            raise self.problem
        return SimpleNamespace(state_dict=lambda: WEIGHTS, pretrained_cfg=CONFIG)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.chdir(tmp_path)
    found, timm = Hub(), ModuleType("timm")
    timm.__spec__ = ModuleSpec("timm", None)
    timm.create_model = found.create_model  # type: ignore[attr-defined]
    timm.is_model = lambda name: name in ("resnet10t.a1", "vit_tiny")  # type: ignore[attr-defined]
    timm.list_models = lambda pretrained: ["resnet10t", "vit_tiny"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    return found


@pytest.mark.parametrize(
    ("name", "asked"), [("timm/vit_tiny", "vit_tiny"), ("hf-hub:me/net", "hf-hub:me/net")]
)
def test_a_model_is_fetched_once_with_what_it_says_of_images(
    name: str, asked: str, hub: Hub
) -> None:
    path = find_weights(name)
    assert find_weights(name) == path
    assert hub.asked == [asked]
    assert path.parent == layout.WEIGHTS
    assert torch.equal(load_file(path)["conv1.weight"], WEIGHTS["conv1.weight"])
    assert read_recipe(path) == InputRecipe((0.1, 0.2, 0.3), (0.5, 0.5, 0.6), 64)


def test_a_folder_of_that_name_comes_first(hub: Hub) -> None:
    folder = Path("timm/vit_tiny")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    assert find_weights("timm/vit_tiny") == folder / "model.safetensors"
    assert hub.asked == []


def test_a_model_that_does_not_exist_is_refused_with_the_nearest(hub: Hub) -> None:
    with pytest.raises(StateError, match=r"no model 'vit_tini'; did you mean 'vit_tiny'\?"):
        find_weights("timm/vit_tini")
    assert hub.asked == []


def test_without_a_network_it_says_what_to_put_where(hub: Hub) -> None:
    hub.problem = OSError("no route\nto host")
    with pytest.raises(StateError) as caught:
        find_weights("timm/vit_tiny")
    said = str(caught.value)
    assert "'timm/vit_tiny' cannot be fetched (no route to host)" in said
    assert "https://huggingface.co/timm/vit_tiny/resolve/main/model.safetensors" in said
    assert not layout.WEIGHTS.exists()


def test_without_timm_it_says_what_to_install(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_weights, "find_spec", lambda name: None)
    with pytest.raises(StateError, match="needs timm, not installed here; run `pip install timm`"):
        find_weights("timm/vit_tiny")


@pytest.mark.parametrize(
    "recipe",
    [{}, {"mean": [1], "std": [0], "image_size": 3}, {"mean": [], "std": [], "image_size": 3}],
)
def test_a_recipe_that_says_nothing_is_refused(recipe: object, tmp_path: Path) -> None:
    (tmp_path / "preprocessing.json").write_text(json.dumps(recipe))
    with pytest.raises(StateError, match=r"mend preprocessing\.json or remove it"):
        read_recipe(tmp_path / "net.pth")
