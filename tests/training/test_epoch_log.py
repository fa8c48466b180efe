"""The means of an epoch's loss terms, by hand."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.epoch_log import EpochLog

pytestmark = pytest.mark.unit


def test_a_term_that_only_some_steps_of_an_epoch_have_is_averaged_over_those() -> None:
    log = EpochLog(1, 3)
    log.add({"loss": torch.tensor(6.0), "ssl": torch.tensor(6.0)})
    for value in (1.0, 2.0):
        log.add({"loss": torch.tensor(value), "expert": torch.tensor(value)})
    assert log.means() == {"loss": 3.0, "ssl": 6.0, "expert": 1.5}
    log.end_epoch(3, torch.eye(8), 0.1)
    log.add({"loss": torch.tensor(4.0), "expert": torch.tensor(4.0)})
    assert log.means() == {"loss": 4.0, "expert": 4.0}
