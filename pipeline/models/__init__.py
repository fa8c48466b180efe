"""Networks: backbones, heads, frozen and momentum copies."""
