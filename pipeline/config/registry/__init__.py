"""What params.yaml can name, one file a kind."""
