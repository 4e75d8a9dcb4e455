"""A study with viewers: which of two faces fits the sound better (`python -m training.study make|serve|report`).

`making` paints films whose names tell nothing, `serving` shows pairs of them in a local web page and keeps the answers,
`judging` says who was preferred and whether that is more than chance.
"""
