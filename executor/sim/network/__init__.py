"""The machine's card: frames in, frames out."""
