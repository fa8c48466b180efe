"""The loggers that watch a training and change nothing of it."""
