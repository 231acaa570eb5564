# One job trains one pack. Checkpoints lie outside of its declared outputs: Snakemake deletes
# those when a job fails, and the next attempt continues from the checkpoints.

# A GPU trains one job at a time, which trains its runs side by side. Each job takes one for itself.
GPUS = gpu_count()
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


rule train:
    """One pack of runs, trained side by side from their checkpoints."""
    input:
        images=IMAGES,
        surrogates=SURROGATES if STUDY.surrogates else [],
        # By their content, which the settings hold, runs are trained anew, and not by their times
        networks=own([ancient(path) for path in STUDY.networks()]),
    output:
        runs=f"{TRAIN}/runs.parquet",
        losses=f"{TRAIN}/losses.parquet",
        samples=f"{TRAIN}/samples.parquet",
    log:
        f"{RESULTS}/logs/train/{{job}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{job}}.tsv"
    threads: STUDY.config["training"]["threads"]
    # How to train is no parameter: changing it makes no run stale.
    resources:
        gpu=STUDY.gpus(GPUS),
        way=STUDY.way(),
        # For a cluster; on one machine they limit nothing
        mem_mb=lambda wildcards, attempt: STUDY.request(wildcards.job, attempt).megabytes,
        runtime=lambda wildcards, attempt: STUDY.request(wildcards.job, attempt).minutes,
    params:
        settings=lambda wildcards: STUDY.train(wildcards.job),
        code=f"training code {TRAINING_VERSION}",
        upstream=f"data {PREPARED}",
        tables=f"table code {PACK_CODE}",
        checkpoints=placed(f"{RESULTS}/checkpoints"),
        surrogates="--surrogates" if STUDY.surrogates else "",
        networks="--networks" if STUDY.networks() else "",
        folder=subpath(output.runs, parent=True),
    shell:
        "python -m memsweep train --images {input.images:q} --checkpoints {params.checkpoints:q}"
        " {params.surrogates} {input.surrogates:q} {params.networks} {input.networks:q}"
        " --output {params.folder:q} --threads {threads} {resources.way}"
        " <<< {params.settings:q} 2> {log:q}"


# Where finished runs lie, as rules run outside of the module that they may be of
TRAINED = Path(placed(RESULTS))


# Runs once, before the first job of a workflow that has any; for a module, where its workflow calls it. There, `train`
# has a name that only that workflow knows.
onstart:
    try:
        jobs = [job for job in workflow.dag.needrun_jobs() if "checkpoints" in job.rule.params.keys()]
        STUDY.guard([job.wildcards.job for job in jobs], TRAINED, TRAINING_VERSION)
    except UserError as error:
        sys.exit(str(error))
