"""Continual self-supervised learning with CaSSLe, as a DVC pipeline."""
