"""Continual self-supervised learning with CaSSLe, as a DVC pipeline.

From Python: ``from pipeline import embed, load_encoder, open_run``.
"""

from __future__ import annotations

from importlib import import_module

# What notebooks use, by module and name there: imported when it is asked for, and named by texts
# so that no stage's fingerprint depends on it. __init__.pyi has the types.
PUBLIC = {
    "embed": ("pipeline.commands.embed", "embed"),
    "load_encoder": ("pipeline.building.encoder", "load_encoder"),
    "open_run": ("pipeline.reporting.comparing.runs", "read_run"),
}


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
    module, attribute = PUBLIC[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
