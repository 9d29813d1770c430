"""Small commands beside fit, embed and evaluate; one file each, named as the command."""
