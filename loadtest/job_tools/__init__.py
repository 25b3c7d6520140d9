"""What a team would score a file with instead: scripts that know nothing of Batchbridge."""
