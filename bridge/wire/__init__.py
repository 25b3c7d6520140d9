"""How requests travel: frames to bytes and back, key names, the data dictionary."""
