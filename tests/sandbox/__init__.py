"""Tests of the sandbox: `programs_*` and `suites` are tables of programs with the verdict that each must get."""
