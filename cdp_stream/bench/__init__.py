"""The benchmarks behind `cdp bench`: the reference load, and what is measured on it."""
