"""Adapters: what turns somebody's decoder into a subject of an audit.

A subject is called, for one batch after the other, and gives back sequences or a trace of them::

    subject(model, num_sequences, seed)  ->  Long[S, N], a trace, or an object with one of them as tokens or trace

    position         0    1    2   ...  N-1
    token           x0   x1   x2        x_N-1      what the subject drew
    row of laws      0    1    2        N-1        row j: the target's law of token j given the tokens before it

It may bring along ``target_model``, so that the audit needs no model, and ``num_available``, where sequences are stored
and end. A verification function by itself has ``verify_window``, or ``verify_tree``, instead of being called. No
adapter has more than three methods; :data:`scd_analysis.subjects.registry` lists them all.
"""
