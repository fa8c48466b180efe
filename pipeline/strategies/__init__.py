"""Strategies against forgetting, one file each."""
