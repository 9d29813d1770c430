"""The ``mmembed`` command: words, options and advice; one file a job that needs one."""
