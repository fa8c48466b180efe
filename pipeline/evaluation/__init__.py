"""Probes of frozen features, one file each."""
