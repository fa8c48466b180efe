"""params.yaml, presets, and the plans resolved from them."""
