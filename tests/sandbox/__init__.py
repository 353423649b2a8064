"""Tests of the sandbox: `programs_*` are tables of programs with the verdict that each must get."""
