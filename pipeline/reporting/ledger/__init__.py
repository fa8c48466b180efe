"""The ledger: published results beside those that were measured here."""
