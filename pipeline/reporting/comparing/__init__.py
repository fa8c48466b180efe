"""Comparison of runs: their settings, and tables over their seeds."""
