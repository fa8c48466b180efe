"""The stream of tasks."""
