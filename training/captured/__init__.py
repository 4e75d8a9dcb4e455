"""Training of methods that move vertices (`kmtalk_core.networks.method`), KMTalk at paper scale among them.

`config` reads a configuration, `processes` joins several processes, `loop` trains one stage, `main` is the command
(`python -m training.train --config FILE --data DIR --run DIR`).
"""
