"""Runs code that nobody vouches for. Import from the modules: `protocol`, `plain`, `report`, `discover`."""
