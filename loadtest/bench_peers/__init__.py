"""Batchbridge beside other servers: `make bench-peers`."""
