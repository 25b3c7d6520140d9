"""HTTP in, frames out: dialects, admission at the door, everything in flight."""
