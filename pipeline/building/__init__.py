"""From a plan to objects. Four builders, so that no stage depends on what it does not use."""
