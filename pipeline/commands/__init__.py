"""Commands that dvc.yaml does not run."""
