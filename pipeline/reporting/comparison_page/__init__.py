"""A comparison's figures: on a page of its own as SVG, and as PNG."""
