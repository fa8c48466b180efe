"""params.yaml, presets and plans: what is to be done."""
