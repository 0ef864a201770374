"""`python -m cdp_stream` is `cdp`."""

from cdp_stream.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
