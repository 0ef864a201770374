"""Reads the records that have criteria or settings: audiences, journeys, outputs, connections.

Start reading at `audiences.py`.
"""
