"""The rooms of the commands: their set-up, what they read and show, and what is only theirs."""
