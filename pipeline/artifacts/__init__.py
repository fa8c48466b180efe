"""What crosses a stage boundary: one file each, with its reader and its writer."""
