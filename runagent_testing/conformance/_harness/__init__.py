"""What checks are made of: a subject, sessions that are fed by hand, runs on a stage, and requirements."""
