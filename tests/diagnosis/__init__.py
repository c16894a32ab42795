"""Tests of wslog.diagnosis."""
