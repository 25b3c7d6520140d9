"""Work for the batch lane: pushed in chunks, at most a window of them unanswered."""
