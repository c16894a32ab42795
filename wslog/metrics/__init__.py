"""Metrics: one module per question, each a SQL file and what Python adds to its sums (value, interval, state)."""
