"""Names of a backbone's tensors in other libraries, and of the network itself there.

A network of another library that we have put in parts goes by that library's names outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pipeline.artifacts.plans.parts import BackbonePlan

Value = TypeVar("Value")
STANDARD_STEM = "conv7_maxpool"


@dataclass(frozen=True)
class PublicNetwork:
    """How a class of backbones goes by other libraries' names.

    Attributes:
        prefixes: how names begin there, by how they begin here; an empty one is taken away.
        timm: the name of timm's model that such a backbone is; None: it is none as it stands.
    """

    prefixes: Mapping[str, str]
    timm: Callable[[BackbonePlan], str | None]


def _standard(plan: BackbonePlan) -> str | None:
    return plan.name if plan.stem == STANDARD_STEM else None


RESNET = PublicNetwork(
    {
        "stem.0.": "conv1.",
        "stem.1.": "bn1.",
        **{f"layers.{number}.": f"layer{number + 1}." for number in range(4)},
    },
    _standard,
)
OWN = PublicNetwork({}, lambda plan: None)
# By the module of the backbone's class.
NETWORKS: dict[str, PublicNetwork] = {"pipeline.models.resnet": RESNET}


def name_in_timm(plan: BackbonePlan) -> str | None:
    """Return the name of timm's model that a backbone is; None: it is none as it stands."""
    return find_network(plan).timm(plan)


def find_network(plan: BackbonePlan) -> PublicNetwork:
    """Return how a backbone goes by other libraries' names."""
    return NETWORKS.get(plan.path.partition(":")[0], OWN)


def publish_names(plan: BackbonePlan, tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Return a backbone's tensors by the names that other libraries give them."""
    return _rename(tensors, find_network(plan).prefixes)


def adopt_names(plan: BackbonePlan, tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Return tensors by the names in ``Backbone.state_dict()``, from their public ones."""
    prefixes = find_network(plan).prefixes
    return _rename(tensors, {there: here for here, there in prefixes.items()})


def _rename(tensors: Mapping[str, Value], prefixes: Mapping[str, str]) -> dict[str, Value]:
    found = {}
    for name, value in tensors.items():
        known = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        found[prefixes.get(known, "") + name.removeprefix(known)] = value
    return found
