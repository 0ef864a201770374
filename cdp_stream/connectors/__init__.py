"""One file per partner: its settings, and how membership changes become its requests.

Nothing here opens a connection, save the few destinations that are no HTTP service; sending,
limits, retries and faults are `cdp_stream.sinks`'.

Start reading at `connector.py`.
"""
