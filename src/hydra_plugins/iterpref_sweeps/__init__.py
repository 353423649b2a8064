"""Hydra finds the sweeper here: plugins must live in this namespace. What it does stands in `iterpref.sweeps`."""
