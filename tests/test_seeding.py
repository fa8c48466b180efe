"""Random streams: independent, and the same each time."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from pipeline.seeding import derive_seed, generator, seeded_initialization


def test_derived_seeds_never_change() -> None:
    assert derive_seed(0, "order", 1, 0) == 7884414374257917300


def test_a_derived_seed_is_63_bits_of_a_digest() -> None:
    digest = hashlib.sha256(b"7/augment/2").hexdigest()
    assert derive_seed(7, "augment", 2) == int(digest[:16], 16) // 2
    assert all(0 <= derive_seed(seed, "order") < 2**63 for seed in range(200))


def test_seeds_differ_by_seed_by_purpose_and_by_task() -> None:
    seeds = {
        derive_seed(seed, purpose, task)
        for seed in range(20)
        for purpose in ("order", "augment", "strategy")
        for task in range(20)
    }
    assert len(seeds) == 20 * 3 * 20


def test_generators_of_one_purpose_draw_the_same() -> None:
    first, again, other = (
        torch.rand(5, generator=generator(*purpose))
        for purpose in ((0, "order", 1), (0, "order", 1), (0, "order", 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_generator_is_not_moved_by_others() -> None:
    alone = torch.rand(6, generator=generator(0, "order"))
    mine, theirs = generator(0, "order"), generator(0, "augment")
    first = torch.rand(3, generator=mine)
    torch.rand(100, generator=theirs)
    torch.rand(100)
    assert torch.equal(torch.cat([first, torch.rand(3, generator=mine)]), alone)


def test_initialisation_restores_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    with seeded_initialization(0, "backbone"):
        nn.Linear(3, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_initialisation_restores_the_global_generator_after_an_error() -> None:
    before = torch.random.get_rng_state()
    try:
        with seeded_initialization(0, "backbone"):
            nn.Linear(3, 3)
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.equal(torch.random.get_rng_state(), before)


def test_initialisation_depends_on_its_purpose_alone() -> None:
    weights = []
    for purpose in ("backbone", "backbone", "method"):
        torch.rand(3)
        with seeded_initialization(0, purpose):
            weights.append(nn.Linear(3, 3).weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
