"""Speed against peers, in one process, interleaved, outputs compared. Run: python -m tests.benchmarks."""
