"""Operators: one a verb, no logic of their own."""
