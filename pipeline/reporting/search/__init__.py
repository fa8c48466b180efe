"""The images nearest to one, as a page."""
