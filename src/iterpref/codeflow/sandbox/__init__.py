"""Runs code that nobody vouches for. Import from the modules: `pool`, `protocol`, `report`, `discover`."""
