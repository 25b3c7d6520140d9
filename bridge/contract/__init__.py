"""What a model accepts and promises, and the model repository on disk. Imports nothing of ours."""
