"""The status page, the probes and the metrics. It only reads, and only schema `analytics`."""
