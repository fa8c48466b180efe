"""Checks of the strategies of params: they exist side by side, and fit everything else."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.sections import Train
from pipeline.config.stream_section import Stream
from pipeline.errors import shorten

Options = Mapping[str, object]


def check_composition(names: list[str]) -> None:
    """Check that the strategies joined by ``+`` can be composed.

    Raises:
        ValueError: a strategy is repeated, or does not compose.
    """
    if len(names) == 1:
        return
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"strategy: {shorten(name)} is there twice in {shorten('+'.join(names))}"
            )
        if name in STRATEGIES and not STRATEGIES[name].composes:
            others = "+".join(other for other in names if other != name)
            raise ValueError(
                f"strategy: '{name}' does not compose, got {shorten('+'.join(names))}; use "
                f"'{name}' or {shorten(others)}"
            )


def check_strategies(names: list[str], method: str, stream: Stream) -> None:
    """Check that strategies fit the method and the stream.

    Raises:
        ValueError: they do not.
    """
    hidden = stream.online and stream.boundaries == "hidden"
    for name in names:
        strategy = STRATEGIES[name]
        if strategy.methods and method not in strategy.methods:
            raise ValueError(
                f"strategy: {name} is defined for {', '.join(strategy.methods)}; got method: "
                f"{method}; choose another method or strategy"
            )
        if stream.online and strategy.in_phases:
            raise ValueError(
                f"strategy: {name} trains each task in phases, each on all its images, and "
                "stream.online brings an image once; choose another strategy, or set "
                "stream.online: false"
            )
        if hidden and not strategy.without_boundaries:
            able = [other for other, entry in STRATEGIES.items() if entry.without_boundaries]
            raise ValueError(
                f"strategy: {name} has to know where a task ends, and stream.online with "
                f"stream.boundaries: hidden does not say; use one of {', '.join(able)}, or "
                "stream.boundaries: told"
            )


def check_start(distill_from_start: bool, weights: str | None) -> None:
    """Check that there is something to look back at where task 1 is to look back.

    Raises:
        ValueError: state 0 is a random network.
    """
    if distill_from_start and weights is None:
        raise ValueError(
            "distill_from_start: true looks back at state 0 on task 1, and with backbone.weights: "
            "null that is a random network; name weights, or set distill_from_start: false"
        )


def check_blending(names: list[str], options: Mapping[str, Options]) -> None:
    """Check that no strategy keeps the vector of a mixed image as that of one image.

    LUMP mixes each image of the views so far with one of its memory.

    Args:
        names: the strategies, in the order in which views pass through them.
        options: of each.

    Raises:
        ValueError: one would.
    """
    if "lump" not in names:
        return
    joined = "+".join(names)
    if "cla_r" in names:
        raise ValueError(
            "strategy: cla_r keeps the projection of each image, and lump mixes the images "
            f"beforehand, got {joined}; use one of the two, or cla_e"
        )
    for name in names[: names.index("lump")]:
        if options[name].get("memory") == "minred":
            turned = "+".join(["lump", *(other for other in names if other != "lump")])
            raise ValueError(
                f"strategy: {name} with memory: minred keeps the projections of memory images, "
                f"which lump after it mixes, got {joined}; use {turned}"
            )


def check_replay(names: list[str], options: Mapping[str, Options], train: Train) -> None:
    """Check that the memory images of a step divide over the processes.

    They would be fewer otherwise, and the result another than that of one process.

    Args:
        names: the strategies.
        options: of each.
        train: the section train.

    Raises:
        ValueError: they do not.
    """
    processes = train.devices * train.num_nodes
    batch = train.batch_size // train.accumulate_grad_batches
    for name in names:
        share, size = (options[name].get(key) for key in ("batch_share", "memory_size"))
        if not (isinstance(share, int | float) and isinstance(size, int)):
            continue
        count = min(round(share * batch), size)
        if count % processes:
            nearest = max(processes, round(count / processes) * processes)
            raise ValueError(
                f"strategies.{name}: batch_share {share:g} of {batch} images, from a memory of "
                f"{size}, are {count}, which do not divide over {processes} processes "
                f"(train.devices × num_nodes); choose batch_share and memory_size so that they "
                f"are {nearest}, say"
            )


def check_phases(names: list[str], options: Mapping[str, Options], train: Train) -> None:
    """Check that the warm-up of a second phase ends within it.

    Args:
        names: the strategies.
        options: of each.
        train: the section train.

    Raises:
        ValueError: it does not.
    """
    for name in names:
        share = options[name].get("consolidation")
        if not isinstance(share, int | float) or train.budget is not None:
            continue
        epochs = max(1, round(share * train.epochs))
        for key in ("warmup_epochs", "head_warmup_epochs"):
            if getattr(train, key) > epochs:
                raise ValueError(
                    f"train.{key} must be at most {epochs}, the epochs of the second phase "
                    f"(strategies.{name}.consolidation {share:g} of train.epochs {train.epochs}), "
                    f"got {getattr(train, key):g}; lower it, or raise consolidation"
                )
