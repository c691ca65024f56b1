"""The paper's experiment and its ablations: many trainings, one external test, one table."""
