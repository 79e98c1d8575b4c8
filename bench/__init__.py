"""The benchmark suite: each module has `figures() -> list[dict]`, and prints them as JSON when run by itself."""
