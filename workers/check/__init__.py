"""Is a model safe to serve row by row? Tried with probe rows, before it goes live."""
