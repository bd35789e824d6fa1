"""The command line: the pages' words in a terminal, one file a group of commands."""
