# Feature learning, diffusion against classification: the two-patch model, noisy digits, and the
# networks of the sweep on planted features.


wildcard_constraints:
    job=r"\w+=[^/]+(/\w+=[^/]+)*",


ALIGNMENTS = f"{RESULTS}/dynamics/{{job}}/alignments.parquet"
STATIONARY = f"{RESULTS}/phase/{{job}}/stationary.parquet"
PROBES = f"{RESULTS}/noisy_digits/{{job}}/noisy_probes.parquet"
MAPS = f"{RESULTS}/noisy_digits/{{job}}/noisy_maps.parquet"
OUTCOMES = f"{RESULTS}/planted/{{job}}/probe_outcomes.parquet"

TWO_PATCH = fingerprint("theory.feature_learning.alignment")
NOISY = lineage(PREPARED, fingerprint("theory.feature_learning.noisy_digits"))
PLANTED = lineage(PREPARED, fingerprint("theory.feature_learning.planted_features"))

# What the tables of a study rest on: every job, and what is made of it
LEARNT = lineage(
    TWO_PATCH,
    NOISY,
    PLANTED,
    *(STUDY.dynamics(job) for job in STUDY.jobs["dynamics"]),
    *(STUDY.phase(job) for job in STUDY.jobs["phase"]),
    *(STUDY.noisy_digits(job) for job in STUDY.jobs["noisy_digits"]),
    *(STUDY.planted(job) for job in STUDY.jobs["planted"]),
    STUDY.analysis(),
    fingerprint("theory.feature_learning.analysis"),
)


rule two_patch_dynamics:
    """How signal and noise are learnt over time in the two-patch model."""
    output:
        ALIGNMENTS,
    log:
        f"{RESULTS}/logs/dynamics/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.dynamics(wildcards.job),
        code=f"two-patch code {TWO_PATCH}",
    shell:
        "python -m memsweep two_patch_dynamics --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule two_patch_phase:
    """What the two-patch model has learnt in the end, by training set size and signal."""
    output:
        STATIONARY,
    log:
        f"{RESULTS}/logs/phase/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.phase(wildcards.job),
        code=f"two-patch code {TWO_PATCH}",
    shell:
        "python -m memsweep two_patch_phase --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule noisy_digits:
    """What a denoiser and a classifier learn of digits in noise."""
    input:
        images=IMAGES,
    output:
        probes=PROBES,
        maps=MAPS,
    log:
        f"{RESULTS}/logs/noisy_digits/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.noisy_digits(wildcards.job),
        code=f"noisy digits code {fingerprint('theory.feature_learning.noisy_digits')}",
        upstream=f"data {PREPARED}",
        folder=subpath(output.probes, parent=True),
    shell:
        "python -m memsweep noisy_digits --images {input.images:q} --output {params.folder:q}"
        " <<< {params.settings:q} 2> {log:q}"


rule planted_features:
    """What networks of the sweep learn of features planted into the images."""
    input:
        images=IMAGES,
    output:
        OUTCOMES,
    log:
        f"{RESULTS}/logs/planted/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.planted(wildcards.job),
        code=f"planted features code {fingerprint('theory.feature_learning.planted_features')}",
        upstream=f"data {PREPARED}",
    shell:
        "python -m memsweep planted_features --images {input.images:q} --output {output:q}"
        " <<< {params.settings:q} 2> {log:q}"


rule feature_analysis:
    """The tables of the study: growth, phases, and the balance of features."""
    input:
        expand(ALIGNMENTS, job=STUDY.jobs["dynamics"]),
        expand(STATIONARY, job=STUDY.jobs["phase"]),
        expand(PROBES, job=STUDY.jobs["noisy_digits"]),
        expand(OUTCOMES, job=STUDY.jobs["planted"]),
    output:
        alignments=f"{RESULTS}/tables/alignments.parquet",
        growth=f"{RESULTS}/tables/growth.parquet",
        stationary=f"{RESULTS}/tables/stationary.parquet",
        phase=f"{RESULTS}/tables/phase.parquet",
        phase_fits=f"{RESULTS}/tables/phase_fits.parquet",
        noisy_probes=f"{RESULTS}/tables/noisy_probes.parquet",
        planted_probes=f"{RESULTS}/tables/planted_probes.parquet",
        feature_balance=f"{RESULTS}/tables/feature_balance.parquet",
    log:
        f"{RESULTS}/logs/feature_analysis.log",
    params:
        settings=lambda wildcards: STUDY.analysis(),
        code=f"analysis code {fingerprint('theory.feature_learning.analysis')}",
        upstream=f"jobs {LEARNT}",
        study=subpath(output.growth, ancestor=2),
        folder=subpath(output.growth, parent=True),
    shell:
        "python -m memsweep feature_analysis --study {params.study:q} --output {params.folder:q}"
        " <<< {params.settings:q} 2> {log:q}"


# All that is estimated, and what it rests on
ESTIMATES = tables_of(rules.feature_analysis)
ESTIMATED = LEARNT

# The maps of noisy digits are drawn as the jobs wrote them
SOURCES = {
    **sources(rules.feature_analysis, LEARNT),
    "noisy_maps": Source(
        expand(MAPS, job=STUDY.jobs["noisy_digits"]),
        LEARNT,
        placed(f"{RESULTS}/noisy_digits"),
    ),
}
