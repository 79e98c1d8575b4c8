"""CP17, the Scribe: one report per run, one overview per day, each as Markdown, HTML and JSON."""

from executor.reporting.run_report import Published, publish

__all__ = ["Published", "publish"]
