"""Reviews: cp14 looks for secrets and forbidden patterns, cp18 plans and judges the change's own tests, people sign."""

from executor.sentinel import patterns, validation
from executor.sentinel.review import Sentinel
from executor.sentinel.verdict import Finding, Review, approval

__all__ = ["Finding", "Review", "Sentinel", "approval", "patterns", "validation"]
