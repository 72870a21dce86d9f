"""The building blocks of checks: a subject, sessions fed by hand, runs on a stage, and requirements."""
