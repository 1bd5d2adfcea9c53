"""The endpoint: models of a workspace behind `/v1`, as OpenAI's clients expect it.

    routes     the addresses and the bodies of requests (`bodies`) and answers (`answers`)
    access     who may ask (`keys`), how often and how much at a time
    shelf      the models that are offered, loaded on use and unloaded when memory is short
    process    one loaded model: a process of its own (`worker`), in which all its requests run as one batch
    metrics    what `/metrics` says

A model runs in a process of its own because a step of it would hold up every other answer, because a process that
ends gives all its memory back, and because a model that fails takes nothing else with it.
"""
