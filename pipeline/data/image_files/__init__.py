"""Image files: listing, decoding and the store of decoded images."""
