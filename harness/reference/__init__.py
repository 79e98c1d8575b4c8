"""Reference pages and tables written from the sources; CI checks that they are current."""
