"""What only the child of a procedure needs: the registry imports the modules beside this folder, not those in it."""
