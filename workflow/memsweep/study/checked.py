"""On how many images metrics are tried, by generators that are constructed from a study's own images."""

# Images of each generator
SAMPLES = 500

# Images beside the training set that a perfect sampler needs, so that none is drawn more than twice
FEWEST_OTHERS = SAMPLES // 2
