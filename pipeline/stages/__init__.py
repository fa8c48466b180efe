"""The stages of the pipeline: load, call, write."""
