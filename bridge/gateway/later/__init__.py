"""Requests that are answered later: stored, run when there is room, their answers kept."""
