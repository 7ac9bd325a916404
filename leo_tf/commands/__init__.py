"""The train and evaluate commands, and what all commands share."""
