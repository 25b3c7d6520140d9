"""`batchbridge describe`: a contract to edit, and the statistics of the reference data."""
