"""Streams: many requests in flight on one WebSocket connection, answered in any order."""
