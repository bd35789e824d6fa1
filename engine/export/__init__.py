"""What a run gives away: weights and tables."""
