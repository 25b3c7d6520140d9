"""How each sample model is trained and written; `models/build.py` runs them all."""
