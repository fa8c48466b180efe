"""Sweeps: many runs of the chain, some at a time here or by SLURM, kept as DVC experiments."""
