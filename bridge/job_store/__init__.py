"""Jobs that came over HTTP, in Redis from their upload until they expire."""
