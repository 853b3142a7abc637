"""What leaves a run for a person's folder: exported files, and the report."""
