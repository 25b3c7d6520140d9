"""Frames in, results out: take, run, reply. Knows no HTTP."""
