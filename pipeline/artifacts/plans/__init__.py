"""The plan of each stage: what it needs to know, resolved from params.yaml."""
