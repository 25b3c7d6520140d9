"""A model repository with real, small models, and the script that builds them."""
