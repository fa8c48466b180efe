"""The components that params.yaml can name, one file a kind."""
