"""Policy directories as the tools see them: the OPA program as a tool, a directory at a git revision."""

from harness.policydir.opa import OpaTool
from harness.policydir.revision import materialize

__all__ = ["OpaTool", "materialize"]
