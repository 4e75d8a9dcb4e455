"""Prepare data sets for training: read the public layouts, check everything, localize in advance.

`layouts` knows where each data set keeps what, `checks` finds what is wrong with it, `align` caches the alignments,
`synthetic` makes a small data set of its own; `__main__` is the command.
"""
