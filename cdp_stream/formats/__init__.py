"""Bytes to core types and back: event batches, membership changes, rows."""
