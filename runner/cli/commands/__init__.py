"""One file a command. A module is imported only when its command is called."""
