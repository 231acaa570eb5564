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
        "python -m memsweep two_patch_dynamics --output {output} <<< {params.settings:q} 2> {log}"


rule two_patch_phase:
    output:
        f"{RESULTS}/phase/{{job}}/stationary.parquet",
    log:
        f"{RESULTS}/logs/phase/{{job}}.log",
    params:
        settings=lambda wildcards: STUDY.phase(wildcards.job),
        code=f"two-patch code {TWO_PATCH}",
    shell:
        "python -m memsweep two_patch_phase --output {output} <<< {params.settings:q} 2> {log}"


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
        "python -m memsweep noisy_digits --images {input.images} --output {params.folder}"
        " <<< {params.settings:q} 2> {log}"


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
        "python -m memsweep planted_features --images {input.images} --output {output}"
        " <<< {params.settings:q} 2> {log}"


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
        settings=STUDY.analysis(),
        code=f"analysis code {fingerprint('theory.feature_learning.analysis')}",
        upstream=f"jobs {LEARNT}",
        study=subpath(output.growth, ancestor=2),
        folder=subpath(output.growth, parent=True),
    shell:
        "python -m memsweep feature_analysis --study {params.study} --output {params.folder}"
        " <<< {params.settings:q} 2> {log}"


rule tables:
    input:
        rules.feature_analysis.output,
    params:
        upstream=f"tables {LEARNT}",


# Each figure is a rule of its own, drawn where Snakemake itself runs, as each takes seconds.


localrules:
    feature_alignment,
    feature_phase_diagram,
    noisy_digit_maps,
    feature_probes,
    figures,


rule feature_alignment:
    input:
        alignments=rules.feature_analysis.output.alignments,
        growth=rules.feature_analysis.output.growth,
    output:
        figure_files("feature_alignment", figure="alignments", axis="iteration"),
    log:
        f"{RESULTS}/logs/figures/feature_alignment.log",
    params:
        settings=STUDY.figure("feature_alignment", **STUDY.shown()),
        upstream=f"tables {LEARNT}",
        code=figure_code("feature_alignment"),
    shell:
        "python -m memsweep figure --source alignments={input.alignments} growth={input.growth}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule feature_phase_diagram:
    input:
        phase=rules.feature_analysis.output.phase,
        fits=rules.feature_analysis.output.phase_fits,
    output:
        figure_files("feature_phase_diagram", figure="phase diagram", axis="n, SNR"),
    log:
        f"{RESULTS}/logs/figures/feature_phase_diagram.log",
    params:
        settings=STUDY.figure("feature_phase_diagram", **STUDY.shown()),
        upstream=f"tables {LEARNT}",
        code=figure_code("feature_phase_diagram"),
    shell:
        "python -m memsweep figure --source phase={input.phase} phase_fits={input.fits}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule noisy_digit_maps:
    input:
        expand(rules.noisy_digits.output.maps, job=STUDY.jobs["noisy_digits"]),
    output:
        figure_files("noisy_digit_maps", figure="noisy digits", axis="SNR"),
    log:
        f"{RESULTS}/logs/figures/noisy_digit_maps.log",
    params:
        settings=STUDY.figure("noisy_digit_maps", jobs=STUDY.noisy_maps()),
        upstream=f"maps {LEARNT}",
        code=figure_code("noisy_digit_maps"),
        folder=f"{RESULTS}/noisy_digits",
    shell:
        "python -m memsweep figure --source noisy_maps={params.folder}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule feature_probes:
    input:
        noisy=rules.feature_analysis.output.noisy_probes,
        probes=rules.feature_analysis.output.planted_probes,
        balance=rules.feature_analysis.output.feature_balance,
    output:
        figure_files("feature_probes", figure="probes", axis="all"),
    log:
        f"{RESULTS}/logs/figures/feature_probes.log",
    params:
        settings=STUDY.figure("feature_probes", dataset=STUDY.config["dataset"]["name"]),
        upstream=f"tables {LEARNT}",
        code=figure_code("feature_probes"),
    shell:
        "python -m memsweep figure --source noisy_probes={input.noisy} planted_probes={input.probes}"
        " feature_balance={input.balance} --output {output} <<< {params.settings:q} 2> {log}"


rule figures:
    input:
        rules.feature_alignment.output,
        rules.feature_phase_diagram.output,
        rules.noisy_digit_maps.output,
        rules.feature_probes.output,
