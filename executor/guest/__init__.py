"""The guest agent: runs in the VM on Python 3.11's standard library and protobuf, on what the agent disk holds."""
