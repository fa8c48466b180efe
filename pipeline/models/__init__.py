"""Networks: backbones, heads, the frozen network."""
