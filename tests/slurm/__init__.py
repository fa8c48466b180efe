"""Sweeps through a real SLURM."""
