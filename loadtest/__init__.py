"""A load tester that knows Batchbridge only from outside: over HTTP, with no import of it."""
