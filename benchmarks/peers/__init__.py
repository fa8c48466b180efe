"""The same work by other libraries, in an environment of their own (``make bench`` makes it)."""
