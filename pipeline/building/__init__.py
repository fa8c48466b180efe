"""From a plan to objects. Several builders, so that no stage depends on what it does not use."""
