"""Random views of images, a batch at a time."""
