"""What Lightning calls between steps."""
