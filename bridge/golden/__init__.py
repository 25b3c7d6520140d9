"""What a model version answered once, on the team's own rows: recorded, replayed, decided on."""
