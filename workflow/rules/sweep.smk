# The names in a sweep's paths, and what the results of its stages rest on.
#
# Snakemake makes a file again when a rule's `params` change. Every rule therefore carries there its settings, the
# fingerprint of the code that it runs (`code`), which Snakemake does not see in imported modules, and the lineage of
# its inputs (`upstream`): a hash of the settings and code of all stages before it. What changes no number, such as
# the device, is among `resources` instead, which make nothing stale. Settings are given by functions, as Snakemake
# would look for wildcards in a text, and a path in it may hold braces.

import functools

from memsweep.base.machine import gpu_count
from memsweep.training.version import TRAINING_VERSION

# The folders of packs. Inputs are named by patterns, not by other rules' outputs: those cannot be expanded where
# results lie in object storage.
TRAIN = f"{RESULTS}/train/{{job}}"
MEASURE = f"{RESULTS}/measure/{{job}}"
AGREE = f"{RESULTS}/agree/{{comparison}}"
FEATURES = f"{RESULTS}/data/features/{{space}}.parquet"
CLASSIFIER = f"{RESULTS}/data/classifier.safetensors"
EMPIRICAL = f"{RESULTS}/empirical/train_size={{train_size}}/samples.parquet"
SPACES = STUDY.config["metrics"]["spaces"]


wildcard_constraints:
    job=r"all|\w+=[^/]+(/\w+=[^/]+)*",
    comparison=r"all|\w+=[^/]+(/\w+=[^/]+)*",
    space="|".join(SPACES),
    train_size=r"\d+",
    axis="|".join(STUDY.axes),


# What perfect memories generate
EMPIRICAL_CODE = fingerprint("closed_form.empirical_sampler")
# What is written of runs: a change of it writes their tables again, and trains none
PACK_CODE = fingerprint("jobs.packs", "jobs.stopping", "metrics.novelty")
MEASURING_CODE = [fingerprint(f"metrics.{name}") for name in ("classifier", "features", "measure")]


@functools.cache
def trained(job):
    return lineage(PREPARED, STUDY.train(job), TRAINING_VERSION, PACK_CODE)


@functools.cache
def samples_of(job):
    """The runs' samples, and those that they are held against."""
    return lineage(trained(job), STUDY.empirical_needs(job), EMPIRICAL_CODE)


def compared_samples(comparison):
    """The samples of runs that are compared; of other seeds with those that they are held against."""
    of_pack = samples_of if STUDY.sizes_with_seeds(comparison) else trained
    return lineage(*map(of_pack, STUDY.packs_of(comparison)))


def measured(job):
    return lineage(samples_of(job), STUDY.measure(), *MEASURING_CODE)


MEASURED = [measured(job) for job in STUDY.jobs]
BASELINES = lineage(PREPARED, STUDY.baselines(), fingerprint("analysis.baselines"))
AGREED = lineage(*MEASURED, *map(STUDY.agree, STUDY.comparisons), fingerprint("metrics.agree"))
COLLECTED = lineage(*MEASURED, AGREED, STUDY.collect(), fingerprint("analysis.collect"))
ANALYSED = lineage(COLLECTED, STUDY.analyse(), fingerprint("analysis.analyse"))
CONCLUDED = lineage(ANALYSED, STUDY.conclude(), fingerprint("analysis.conclude"))
