"""What the product decides: pure, synchronous, standard library only."""
