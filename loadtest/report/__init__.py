"""What the report shows: figures and words, plots, two runs compared, and the page's templates."""
