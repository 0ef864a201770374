"""``python -m cdp_stream``: the ``cdp`` command without its script, as the demo starts a worker."""

import sys

from cdp_stream.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
