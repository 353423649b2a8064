"""The part that runs beside and around untrusted code: standard library only, started by `harness.py`.

A run should cost little: what only type checkers need (`typing` takes milliseconds) is imported for them alone.
"""
