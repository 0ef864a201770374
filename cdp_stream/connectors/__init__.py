"""One file per partner: what its settings are, and how membership changes become its calls.

Nothing here opens a connection, save the few destinations that are no HTTP service; sending,
limits, retries and faults are `cdp_stream.sinks`'.

Start reading at `connector.py`.
"""
