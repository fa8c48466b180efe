"""Benchmarks: the cost of training besides its arithmetic, as ratios within one run."""
