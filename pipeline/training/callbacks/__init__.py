"""Callbacks that Lightning calls between steps."""
