"""The express lane: plain inference requests, answered without a task per request."""
