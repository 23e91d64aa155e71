"""Speed, memory and agreement against powerlaw and WeightWatcher, measured side by side: ``python -m benchmarks``."""
