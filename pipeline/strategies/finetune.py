"""Fine-tuning, the lower bound: each task goes on from the one before and looks back at nothing."""

from __future__ import annotations

from pipeline.strategies.base import Strategy


class Finetune(Strategy):
    """L_SSL alone.

    It is what trains the first task whichever strategy is chosen, as none of them has a past to
    look back at there: so it takes no options, and all strategies share the state after task 1.
    """
