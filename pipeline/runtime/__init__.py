"""The machine: devices, signals, locks, git and DVC's process."""
