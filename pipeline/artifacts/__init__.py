"""Files that one stage writes and others read: one module each, with its reader and writer."""
