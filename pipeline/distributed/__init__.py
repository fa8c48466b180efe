"""Data-parallel training: several processes train one task together."""
