"""Images and what is drawn at random: the datasets, the prepared images in memory, Gaussian surrogates of them, and
stateless randomness, which says what each step of a run sees.

It imports `tables` and what comes before it, never a network or what is learnt. What `randomness` draws decides
trajectories: golden ones hold it.
"""
