"""All systems on all data sets in one command that resumes, and one report: `python -m training.benchmark`.

`suite` runs the experiments (`training.experiments`), `costs` measures speed and memory in processes of their own,
`shown` paints films, sheets of phones and error maps, `charts` draws curves and bars, `page` puts it all together.
"""
