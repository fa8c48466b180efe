"""Vectors to try losses on, and formulas written out with plain loops in float64."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vectors = NDArray[np.float64]
# Number of images, dimensions, scale of the vectors.
SHAPES = [(2, 8, 1.0), (5, 3, 1.0), (7, 1, 1.0), (16, 32, 1.0), (6, 4, 1e3), (9, 128, 1e-3)]


def draw(count: int, size: int, scale: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = scale * torch.randn(2, count, size, generator=generator)
    return first, second


def cosine(a: Vectors, b: Vectors) -> float:
    length_a = math.sqrt(sum(x * x for x in a))
    length_b = math.sqrt(sum(x * x for x in b))
    return float(sum(x * y for x, y in zip(a, b, strict=True)) / (length_a * length_b))


def info_nce_by_definition(predicted: Tensor, past: Tensor, temperature: float) -> float:
    p, z = predicted.double().numpy(), past.double().numpy()
    total = 0.0
    for i in range(len(p)):
        own = math.exp(cosine(p[i], z[i]) / temperature)
        to_past = sum(math.exp(cosine(p[i], z[k]) / temperature) for k in range(len(z)))
        to_predicted = sum(math.exp(cosine(p[k], z[i]) / temperature) for k in range(len(p)))
        total += -0.5 * math.log(own / to_past) - 0.5 * math.log(own / to_predicted)
    return total / len(p)
