"""reports/report.html: its headline metrics, charts and template."""
