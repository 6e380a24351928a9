"""Gates: what a generated text must pass, each with a reason when it fails.

`suite.gates_for` makes them, `suite.run_gates` runs them, and
`diversity.diversity_report` measures what is left.
"""
