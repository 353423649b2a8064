"""The report: what a run left on disk (`gather`), measured (`measures`, `curves`), coloured (`highlight`), as one page (`page`)."""
