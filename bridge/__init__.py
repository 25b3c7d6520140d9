"""Batchbridge: single answers in milliseconds from models that were built for batches."""
