"""Several processes that train one task together."""
