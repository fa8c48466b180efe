"""The model card and the code snippets of an export."""
