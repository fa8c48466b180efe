"""reports/report.html: its figures, charts and template."""
