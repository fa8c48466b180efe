"""Memories: which images of the stream a strategy keeps, one rule a file."""
