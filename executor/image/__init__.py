"""The machine a task runs in: the gold image (built once, read-only for ever) and the agent disk."""

from executor.image.agent_disk import AgentDisk, ensure_agent_disk
from executor.image.gold import GoldImage, ensure_gold_image

__all__ = ["AgentDisk", "GoldImage", "ensure_agent_disk", "ensure_gold_image"]
