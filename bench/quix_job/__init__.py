"""Job J on Quix Streams. It runs in an environment of its own, without our packages: see `requirements.in`."""
