"""What is wrong with the data, looked for before anything is scored."""
