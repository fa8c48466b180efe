"""Seconds on the wall and on the processors."""

from __future__ import annotations

import subprocess
import sys
import time

from pipeline.runtime.elapsed import Elapsed, Stopwatch

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_waiting_takes_no_processor_and_work_of_children_counts() -> None:
    watch = Stopwatch(Elapsed(10.0, 5.0))
    time.sleep(0.2)
    waited = watch.read()
    assert 10.2 <= waited.seconds < 15
    assert 5.0 <= waited.cpu_seconds < 5.2
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert watch.read().cpu_seconds - waited.cpu_seconds >= 0.25
