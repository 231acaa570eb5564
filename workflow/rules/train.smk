# One job trains one pack. Checkpoints lie outside of its declared outputs: Snakemake deletes
# those when a job fails, and the next attempt continues from the checkpoints.

# A GPU trains one job at a time, which trains its runs side by side. Each job takes one for itself.
GPUS = gpu_count()
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


rule train:
    input:
        images=rules.prepare.output[0],
    output:
        runs=f"{RESULTS}/train/{{job}}/runs.parquet",
        losses=f"{RESULTS}/train/{{job}}/losses.parquet",
        samples=f"{RESULTS}/train/{{job}}/samples.parquet",
    log:
        f"{RESULTS}/logs/train/{{job}}.log",
    threads: STUDY.config["training"]["threads"]
    # How to train is no parameter: changing it makes no run stale.
    resources:
        gpu=STUDY.gpus(GPUS),
        way=STUDY.way(),
    params:
        settings=lambda wildcards: STUDY.train(wildcards.job),
        code=f"training code {training_code()}",
        upstream=f"data {PREPARED}",
        tables=f"table code {fingerprint('packs')}",
        checkpoints=f"{RESULTS}/checkpoints",
        folder=subpath(output.runs, parent=True),
    shell:
        "python -m memsweep train --images {input.images} --checkpoints {params.checkpoints}"
        " --output {params.folder} --threads {threads} {resources.way} <<< {params.settings:q} 2> {log}"
