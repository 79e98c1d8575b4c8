"""The bridge: agents' containers submit intents over ZeroMQ, the host's executor runs them and answers."""
