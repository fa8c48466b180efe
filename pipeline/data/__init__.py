"""Data sets, the stream of tasks, batches and augmentation."""
