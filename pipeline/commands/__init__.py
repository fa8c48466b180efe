"""Commands that dvc.yaml does not run: check, clean, compare, export, preset cost."""
