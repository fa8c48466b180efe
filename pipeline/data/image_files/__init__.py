"""Images in files: found, decoded, stored."""
