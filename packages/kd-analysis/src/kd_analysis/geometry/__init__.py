"""Numbers from representations: (N, C) arrays of the same N items in the same order. Knows arrays only."""
