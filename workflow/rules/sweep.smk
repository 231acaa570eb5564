# What the results of a sweep's stages rest on, and the names in its paths.

import functools

from memsweep.machine import gpu_count
from memsweep.provenance import training_code


wildcard_constraints:
    job=r"all|\w+=[^/]+(/\w+=[^/]+)*",
    space="|".join(STUDY.config["metrics"]["spaces"]),
    axis="|".join(STUDY.axes),


# The folders of packs. Inputs are named by patterns, not by other rules' outputs: those cannot be expanded where
# results lie in object storage.
TRAIN = f"{RESULTS}/train/{{job}}"
MEASURE = f"{RESULTS}/measure/{{job}}"
FEATURES = f"{RESULTS}/data/features/{{space}}.parquet"

TRAINING_CODE = training_code(), fingerprint("packs")
MEASURING_CODE = [fingerprint(name) for name in ("classifier", "features", "measure")]


@functools.cache
def trained(job):
    return lineage(PREPARED, STUDY.train(job), *TRAINING_CODE)


def measured(job):
    return lineage(trained(job), STUDY.measure(), *MEASURING_CODE)


MEASURED = [measured(job) for job in STUDY.jobs]
BASELINES = lineage(PREPARED, STUDY.baselines(), fingerprint("baselines"))
COLLECTED = lineage(*MEASURED, STUDY.collect(), fingerprint("collect"))
ANALYSED = lineage(COLLECTED, STUDY.analyse(), fingerprint("analyse"))
