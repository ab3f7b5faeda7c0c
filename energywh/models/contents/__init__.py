"""What a warehouse file says of itself: its models, their months with digests, and the landings it was built from."""
