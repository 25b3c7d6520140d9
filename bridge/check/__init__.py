"""The command line of `batchbridge check`, and what it reads beside the model."""
