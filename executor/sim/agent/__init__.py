"""The agent's side of the conversation, on the modelled kernel."""
