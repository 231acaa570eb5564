# Feature learning, diffusion against classification: the two-patch model, noisy digits, and the
# networks of the sweep on planted features.


wildcard_constraints:
    job=r"\w+=[^/]+(/\w+=[^/]+)*",


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
    output:
        f"{RESULTS}/dynamics/{{job}}/alignments.parquet",
    log:
        f"{RESULTS}/logs/dynamics/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.dynamics(wildcards.job),
        code=f"two-patch code {TWO_PATCH}",
    shell:
        "python -m memsweep two_patch_dynamics --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule two_patch_phase:
    output:
        f"{RESULTS}/phase/{{job}}/stationary.parquet",
    log:
        f"{RESULTS}/logs/phase/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.phase(wildcards.job),
        code=f"two-patch code {TWO_PATCH}",
    shell:
        "python -m memsweep two_patch_phase --output {output:q} <<< {params.settings:q} 2> {log:q}"


rule noisy_digits:
    input:
        images=rules.prepare.output[0],
    output:
        probes=f"{RESULTS}/noisy_digits/{{job}}/noisy_probes.parquet",
        maps=f"{RESULTS}/noisy_digits/{{job}}/noisy_maps.parquet",
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
    input:
        images=rules.prepare.output[0],
    output:
        f"{RESULTS}/planted/{{job}}/probe_outcomes.parquet",
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
    input:
        expand(rules.two_patch_dynamics.output, job=STUDY.jobs["dynamics"]),
        expand(rules.two_patch_phase.output, job=STUDY.jobs["phase"]),
        expand(rules.noisy_digits.output.probes, job=STUDY.jobs["noisy_digits"]),
        expand(rules.planted_features.output, job=STUDY.jobs["planted"]),
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
ESTIMATES = [rules.feature_analysis.output]
ESTIMATED = LEARNT

# The maps of noisy digits are drawn as the jobs wrote them
SOURCES = {
    **{table: Source(file, LEARNT) for table, file in rules.feature_analysis.output.items()},
    "noisy_maps": Source(
        expand(rules.noisy_digits.output.maps, job=STUDY.jobs["noisy_digits"]),
        LEARNT,
        f"{RESULTS}/noisy_digits",
    ),
}
