"""What training costs beside its arithmetic: ratios measured within one run."""
