"""What the service means, and (in `stores`) where it is kept."""
