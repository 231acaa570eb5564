# Each figure is a rule of its own: `snakemake results/<study>/figures/<name>.pdf` brings just
# that one up to date. On a cluster they are drawn where Snakemake itself runs, as each takes seconds.


localrules:
    dynamics,
    memorisation_time,
    scaling_exponents,
    simplicity_bias,
    two_clocks,
    peaks,
    novelty_fidelity,
    sample_sheet,
    figures,


rule dynamics:
    input:
        runs=rules.collect.output.runs,
        trajectories=rules.collect.output.trajectories,
        metrics=rules.collect.output.metrics,
    output:
        figure_files("dynamics_{axis}", "dynamics", figure="dynamics", axis="{axis}"),
    log:
        f"{SHOWN}/logs/figures/dynamics_{{axis}}.log",
    params:
        settings=lambda wildcards: STUDY.figure(
            "dynamics",
            "palette",
            "time",
            "panels",
            "distance",
            "thresholds",
            "formulation",
            axis=wildcards.axis,
        ),
        upstream=f"tables {COLLECTED}",
        code=figure_code("dynamics"),
    shell:
        "python -m memsweep figure --source runs={input.runs} trajectories={input.trajectories}"
        " metrics={input.metrics} --output {output} <<< {params.settings:q} 2> {log}"


rule memorisation_time:
    input:
        runs=rules.collect.output.runs,
        onsets=rules.analyse.output.onsets,
        scaling=rules.analyse.output.scaling,
    output:
        figure_files("memorisation_time", figure="memorisation time", axis="train_size"),
    log:
        f"{SHOWN}/logs/figures/memorisation_time.log",
    params:
        settings=STUDY.figure("memorisation_time", "palette", "thresholds", "formulation"),
        upstream=f"tables {ANALYSED}",
        code=figure_code("memorisation_time"),
    shell:
        "python -m memsweep figure --source runs={input.runs} onsets={input.onsets}"
        " scaling={input.scaling} --output {output} <<< {params.settings:q} 2> {log}"


rule scaling_exponents:
    input:
        scaling=rules.analyse.output.scaling,
    output:
        figure_files("scaling_exponents", figure="scaling exponents", axis="all"),
    log:
        f"{SHOWN}/logs/figures/scaling_exponents.log",
    params:
        settings=STUDY.figure("scaling_exponents", "thresholds", "confidence"),
        upstream=f"tables {ANALYSED}",
        code=figure_code("scaling_exponents"),
    shell:
        "python -m memsweep figure --source scaling={input.scaling}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule simplicity_bias:
    input:
        runs=rules.collect.output.runs,
        trajectories=rules.collect.output.trajectories,
        excess=rules.analyse.output.excess,
        onsets=rules.analyse.output.onsets,
        baselines=rules.baselines.output[0],
    output:
        figure_files("simplicity_bias", figure="simplicity bias", axis="train_size"),
    log:
        f"{SHOWN}/logs/figures/simplicity_bias.log",
    params:
        settings=STUDY.figure("simplicity_bias", "thresholds", surrogates=STUDY.surrogates),
        upstream=f"tables {lineage(ANALYSED, BASELINES)}",
        code=figure_code("simplicity_bias"),
    shell:
        "python -m memsweep figure --source runs={input.runs} trajectories={input.trajectories}"
        " excess={input.excess} onsets={input.onsets} baselines={input.baselines}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule two_clocks:
    input:
        runs=rules.collect.output.runs,
        onsets=rules.analyse.output.onsets,
        scaling=rules.analyse.output.scaling,
    output:
        figure_files("two_clocks", figure="two clocks", axis="all"),
    log:
        f"{SHOWN}/logs/figures/two_clocks.log",
    params:
        settings=STUDY.figure("two_clocks", "onset", "thresholds"),
        upstream=f"tables {ANALYSED}",
        code=figure_code("two_clocks"),
    shell:
        "python -m memsweep figure --source runs={input.runs} onsets={input.onsets}"
        " scaling={input.scaling} --output {output} <<< {params.settings:q} 2> {log}"


rule peaks:
    input:
        runs=rules.collect.output.runs,
        peaks=rules.analyse.output.peaks,
    output:
        figure_files("peaks", "peaks_figure", figure="peak fidelity and rate", axis="all"),
    log:
        f"{SHOWN}/logs/figures/peaks.log",
    params:
        settings=STUDY.figure("peaks", "palette", "distance", "onset", "thresholds", "formulation"),
        upstream=f"tables {ANALYSED}",
        code=figure_code("peaks"),
    shell:
        "python -m memsweep figure --source runs={input.runs} peaks={input.peaks}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule novelty_fidelity:
    input:
        runs=rules.collect.output.runs,
        metrics=rules.collect.output.metrics,
    output:
        figure_files("novelty_fidelity", figure="novelty and fidelity", axis="all"),
    log:
        f"{SHOWN}/logs/figures/novelty_fidelity.log",
    params:
        settings=STUDY.figure("novelty_fidelity", "palette", "distance"),
        upstream=f"tables {COLLECTED}",
        code=figure_code("novelty_fidelity"),
    shell:
        "python -m memsweep figure --source runs={input.runs} metrics={input.metrics}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule sample_sheet:
    input:
        images=rules.prepare.output[0],
        runs=expand(f"{TRAIN}/runs.parquet", job=STUDY.sheet_run()[0]),
        samples=expand(f"{TRAIN}/samples.parquet", job=STUDY.sheet_run()[0]),
        neighbours=expand(f"{MEASURE}/neighbours.parquet", job=STUDY.sheet_run()[0]),
    output:
        figure_files("sample_sheet", figure="sample sheet", axis="none"),
    log:
        f"{SHOWN}/logs/figures/sample_sheet.log",
    params:
        settings=STUDY.figure(
            "sample_sheet",
            "f_mem_threshold",
            "sheet_steps",
            "sheet_samples",
            run_id=STUDY.sheet_run()[1].run_id,
        ),
        upstream=f"metrics {measured(STUDY.sheet_run()[0])}",
        code=figure_code("sample_sheet"),
    shell:
        "python -m memsweep figure --source images={input.images} runs={input.runs}"
        " samples={input.samples} neighbours={input.neighbours}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule figures:
    input:
        expand(f"{SHOWN}/figures/dynamics_{{axis}}.{{kind}}", axis=STUDY.axes, kind=["pdf", "png"]),
        rules.memorisation_time.output if "train_size" in STUDY.axes else [],
        rules.scaling_exponents.output,
        [rules.simplicity_bias.output, rules.two_clocks.output] if STUDY.surrogates else [],
        rules.peaks.output,
        rules.novelty_fidelity.output,
        rules.sample_sheet.output,
