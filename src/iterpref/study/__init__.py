"""A study: arms times seeds of training runs, each evaluated alike, resumable in slots of time, and its tables."""
