"""What a machine holds as file systems."""
