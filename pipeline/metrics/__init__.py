"""Metrics of accuracies and representations."""
