"""`batchbridge synthesize`: rows from the contract and the statistics, and those the data lack."""
