"""What the conformance suite must know of each connector."""
