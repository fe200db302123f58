"""Practice: synthetic competitions with trained baselines, and rehearsals on a user's own labelled images."""
