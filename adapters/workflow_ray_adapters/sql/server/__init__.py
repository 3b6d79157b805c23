"""What databases behind a network have in common."""
