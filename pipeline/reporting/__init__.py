"""Tables and plots: read files, never models."""
