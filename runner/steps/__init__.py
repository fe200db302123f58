"""One file a step. Each step is a function of the session and works from the files that the step before left."""
