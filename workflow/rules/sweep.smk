# What the results of a sweep's stages rest on, and the names in its paths.

from memsweep.machine import gpu_count
from memsweep.provenance import training_code


wildcard_constraints:
    job=r"all|\w+=[^/]+(/\w+=[^/]+)*",
    space="|".join(STUDY.config["metrics"]["spaces"]),
    axis="|".join(STUDY.axes),


def trained(job):
    return lineage(PREPARED, STUDY.train(job), training_code(), fingerprint("packs"))


def measured(job):
    return lineage(
        trained(job), STUDY.measure(), *(fingerprint(name) for name in ("classifier", "features", "measure"))
    )


MEASURED = [measured(job) for job in STUDY.jobs]
COLLECTED = lineage(*MEASURED, STUDY.collect(), fingerprint("collect"))
ANALYSED = lineage(COLLECTED, STUDY.analyse(), fingerprint("analyse"))
