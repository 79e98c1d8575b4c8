"""What the service tells of itself: Prometheus figures on loopback, a structured log without secrets."""
