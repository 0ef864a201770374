"""From `cdp.output.<id>` to partners: batching, the shared sender, retries, faults.

What a partner wants to be sent is its connector's business (`cdp_stream.connectors`); nothing in
here knows any one of them.

Start reading at `output/output_sink.py`.
"""
