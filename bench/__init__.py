"""Benchmarks: ratios against something measured in the same run. `make bench` runs all and writes results.json."""
