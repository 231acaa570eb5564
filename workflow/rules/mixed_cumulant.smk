# The mixed cumulant model: theory, single units and networks that learn, and what they show.
# One job per experiment and dimension, so that a new dimension computes nothing else.


wildcard_constraints:
    unit="|".join(STUDY.unit_jobs),
    network="|".join(STUDY.network_jobs) or "none",


PATHS = f"{RESULTS}/learn/{{unit}}/unit_paths.parquet"
RECOVERIES = f"{RESULTS}/learn/{{unit}}/unit_recoveries.parquet"
LOSSES = f"{RESULTS}/learn/{{network}}/network_losses.parquet"


def learnt_unit(job):
    return lineage(STUDY.learn_unit(job), fingerprint("theory.mixed_cumulant.unit"))


def learnt_network(job):
    return lineage(STUDY.learn_network(job), fingerprint("theory.mixed_cumulant.network"))


UNITS = lineage(*map(learnt_unit, STUDY.unit_jobs))
NETWORKS = lineage(*map(learnt_network, STUDY.network_jobs))
THEORY = lineage(STUDY.unit_theory(), fingerprint("theory.mixed_cumulant.expectations"))
RECOVERED = lineage(UNITS, STUDY.unit_recovery(), fingerprint("theory.mixed_cumulant.recovery"))
DEPARTED = lineage(
    NETWORKS, STUDY.network_departure(), fingerprint("theory.mixed_cumulant.network_departure")
)


rule learn_unit:
    """A single unit learns the mixed cumulant model, in one dimension."""
    output:
        paths=PATHS,
        recoveries=RECOVERIES,
    log:
        f"{RESULTS}/logs/learn/{{unit}}.log",
    threads: 1
    # Where to learn is no parameter: changing it makes nothing stale.
    resources:
        device=STUDY.config["training"]["device"],
    params:
        settings=lambda wildcards: STUDY.learn_unit(wildcards.unit),
        code=f"learning code {fingerprint('theory.mixed_cumulant.unit')}",
        folder=subpath(output.paths, parent=True),
    shell:
        "python -m memsweep learn_unit --output {params.folder:q} --device {resources.device} --threads {threads}"
        " <<< {params.settings:q} 2> {log:q}"


rule unit_theory:
    """Loss, information exponents and cumulants of the mixed cumulant model."""
    output:
        loss_terms=f"{RESULTS}/tables/loss_terms.parquet",
        information_exponents=f"{RESULTS}/tables/information_exponents.parquet",
        cumulants=f"{RESULTS}/tables/cumulants.parquet",
    log:
        f"{RESULTS}/logs/unit_theory.log",
    params:
        settings=lambda wildcards: STUDY.unit_theory(),
        code=f"theory code {fingerprint('theory.mixed_cumulant.expectations')}",
        folder=subpath(output.loss_terms, parent=True),
    shell:
        "python -m memsweep unit_theory --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"


rule unit_recovery:
    """When single units find a direction, and how that grows with the dimension."""
    input:
        expand([PATHS, RECOVERIES], unit=STUDY.unit_jobs),
    output:
        overlaps=f"{RESULTS}/tables/overlaps.parquet",
        recoveries=f"{RESULTS}/tables/recoveries.parquet",
        recovery_times=f"{RESULTS}/tables/recovery_times.parquet",
        recovery_exponents=f"{RESULTS}/tables/recovery_exponents.parquet",
    log:
        f"{RESULTS}/logs/unit_recovery.log",
    params:
        settings=lambda wildcards: STUDY.unit_recovery(),
        upstream=f"units {UNITS}",
        code=f"recovery code {fingerprint('theory.mixed_cumulant.recovery')}",
        folder=subpath(output.overlaps, parent=True),
        study=subpath(output.overlaps, ancestor=2),
    shell:
        "python -m memsweep unit_recovery --learnt {params.study:q}/learn"
        " --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"


rule learn_network:
    """A network learns to denoise the mixed cumulant model, in one dimension."""
    output:
        LOSSES,
    log:
        f"{RESULTS}/logs/learn/{{network}}.log",
    threads: 1
    resources:
        device=STUDY.config["training"]["device"],
    params:
        settings=lambda wildcards: STUDY.learn_network(wildcards.network),
        code=f"learning code {fingerprint('theory.mixed_cumulant.network')}",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m memsweep learn_network --output {params.folder:q} --device {resources.device} --threads {threads}"
        " <<< {params.settings:q} 2> {log:q}"


rule network_departure:
    """When networks leave what means and covariances explain."""
    input:
        expand(LOSSES, network=STUDY.network_jobs),
    output:
        network_curves=f"{RESULTS}/tables/network_curves.parquet",
        network_departures=f"{RESULTS}/tables/network_departures.parquet",
        network_exponents=f"{RESULTS}/tables/network_exponents.parquet",
    log:
        f"{RESULTS}/logs/network_departure.log",
    params:
        settings=lambda wildcards: STUDY.network_departure(),
        upstream=f"networks {NETWORKS}",
        code=f"departure code {fingerprint('theory.mixed_cumulant.network_departure')}",
        folder=subpath(output.network_curves, parent=True),
        study=subpath(output.network_curves, ancestor=2),
    shell:
        "python -m memsweep network_departure --learnt {params.study:q}/learn"
        " --output {params.folder:q} <<< {params.settings:q} 2> {log:q}"


# All that is estimated, and what it rests on
ESTIMATES = [
    *tables_of(rules.unit_theory),
    *tables_of(rules.unit_recovery),
    *(tables_of(rules.network_departure) if STUDY.network_jobs else []),
]
ESTIMATED = lineage(THEORY, RECOVERED, DEPARTED)

SOURCES = {
    **sources(rules.unit_theory, THEORY),
    **sources(rules.unit_recovery, RECOVERED),
    **sources(rules.network_departure, DEPARTED),
}
