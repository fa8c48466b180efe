"""Runs side by side: what each was made of, and tables over their seeds."""
