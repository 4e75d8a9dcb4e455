"""The paper's experiments, one command each: `python -m training.experiments NAME --data DIR --run RUN`.

`published` has the paper's figures, `plans` says what each experiment trains and compares, `runs` trains and evaluates,
`report` writes the tables.
"""
