# The mixed cumulant model: theory, single units and networks that learn, and what they show.
# One job per experiment and dimension, so that a new dimension computes nothing else.


wildcard_constraints:
    unit="|".join(STUDY.unit_jobs),
    network="|".join(STUDY.network_jobs) or "none",


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
    output:
        paths=f"{RESULTS}/learn/{{unit}}/unit_paths.parquet",
        recoveries=f"{RESULTS}/learn/{{unit}}/unit_recoveries.parquet",
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
        "python -m memsweep learn_unit --output {params.folder} --device {resources.device} --threads {threads}"
        " <<< {params.settings:q} 2> {log}"


rule unit_theory:
    output:
        terms=f"{RESULTS}/tables/loss_terms.parquet",
        orders=f"{RESULTS}/tables/information_exponents.parquet",
        cumulants=f"{RESULTS}/tables/cumulants.parquet",
    log:
        f"{RESULTS}/logs/unit_theory.log",
    params:
        settings=STUDY.unit_theory(),
        code=f"theory code {fingerprint('theory.mixed_cumulant.expectations')}",
        folder=subpath(output.terms, parent=True),
    shell:
        "python -m memsweep unit_theory --output {params.folder} <<< {params.settings:q} 2> {log}"


rule unit_recovery:
    input:
        expand(rules.learn_unit.output, unit=STUDY.unit_jobs),
    output:
        overlaps=f"{RESULTS}/tables/overlaps.parquet",
        recoveries=f"{RESULTS}/tables/recoveries.parquet",
        times=f"{RESULTS}/tables/recovery_times.parquet",
        exponents=f"{RESULTS}/tables/recovery_exponents.parquet",
    log:
        f"{RESULTS}/logs/unit_recovery.log",
    params:
        settings=STUDY.unit_recovery(),
        upstream=f"units {UNITS}",
        code=f"recovery code {fingerprint('theory.mixed_cumulant.recovery')}",
        folder=subpath(output.overlaps, parent=True),
        study=subpath(output.overlaps, ancestor=2),
    shell:
        "python -m memsweep unit_recovery --learnt {params.study}/learn"
        " --output {params.folder} <<< {params.settings:q} 2> {log}"


rule learn_network:
    output:
        f"{RESULTS}/learn/{{network}}/network_losses.parquet",
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
        "python -m memsweep learn_network --output {params.folder} --device {resources.device} --threads {threads}"
        " <<< {params.settings:q} 2> {log}"


rule network_departure:
    input:
        expand(rules.learn_network.output, network=STUDY.network_jobs),
    output:
        curves=f"{RESULTS}/tables/network_curves.parquet",
        departures=f"{RESULTS}/tables/network_departures.parquet",
        exponents=f"{RESULTS}/tables/network_exponents.parquet",
    log:
        f"{RESULTS}/logs/network_departure.log",
    params:
        settings=STUDY.network_departure(),
        upstream=f"networks {NETWORKS}",
        code=f"departure code {fingerprint('theory.mixed_cumulant.network_departure')}",
        folder=subpath(output.curves, parent=True),
        study=subpath(output.curves, ancestor=2),
    shell:
        "python -m memsweep network_departure --learnt {params.study}/learn"
        " --output {params.folder} <<< {params.settings:q} 2> {log}"


rule tables:
    input:
        rules.unit_theory.output,
        rules.unit_recovery.output,
        rules.network_departure.output if STUDY.network_jobs else [],
    params:
        upstream=f"tables {lineage(THEORY, RECOVERED, DEPARTED)}",


# Each figure is a rule of its own: `snakemake results/<study>/figures/<name>.pdf` brings just
# that one up to date. On a cluster they are drawn where Snakemake itself runs, as each takes seconds.


localrules:
    mixed_cumulant_overlaps,
    mixed_cumulant_scaling,
    mixed_cumulant_loss,
    mixed_cumulant_network,
    figures,


rule mixed_cumulant_overlaps:
    input:
        overlaps=rules.unit_recovery.output.overlaps,
    output:
        figure_files("mixed_cumulant_overlaps", figure="overlaps"),
    log:
        f"{RESULTS}/logs/figures/mixed_cumulant_overlaps.log",
    params:
        settings=STUDY.figure("mixed_cumulant_overlaps", "experiments"),
        upstream=f"tables {RECOVERED}",
        code=figure_code("mixed_cumulant_overlaps"),
    shell:
        "python -m memsweep figure --source overlaps={input.overlaps}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule mixed_cumulant_scaling:
    input:
        recoveries=rules.unit_recovery.output.recoveries,
        times=rules.unit_recovery.output.times,
        exponents=rules.unit_recovery.output.exponents,
    output:
        figure_files("mixed_cumulant_scaling", figure="sample complexity"),
    log:
        f"{RESULTS}/logs/figures/mixed_cumulant_scaling.log",
    params:
        settings=STUDY.figure("mixed_cumulant_scaling", "experiments"),
        upstream=f"tables {RECOVERED}",
        code=figure_code("mixed_cumulant_scaling"),
    shell:
        "python -m memsweep figure --source recoveries={input.recoveries} recovery_times={input.times}"
        " recovery_exponents={input.exponents} --output {output} <<< {params.settings:q} 2> {log}"


rule mixed_cumulant_loss:
    input:
        terms=rules.unit_theory.output.terms,
        orders=rules.unit_theory.output.orders,
    output:
        figure_files("mixed_cumulant_loss", figure="population loss"),
    log:
        f"{RESULTS}/logs/figures/mixed_cumulant_loss.log",
    params:
        settings=STUDY.figure("mixed_cumulant_loss", "experiments"),
        upstream=f"tables {THEORY}",
        code=figure_code("mixed_cumulant_loss"),
    shell:
        "python -m memsweep figure --source loss_terms={input.terms} information_exponents={input.orders}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule mixed_cumulant_network:
    input:
        curves=rules.network_departure.output.curves,
        departures=rules.network_departure.output.departures,
        exponents=rules.network_departure.output.exponents,
        times=rules.unit_recovery.output.times,
    output:
        figure_files("mixed_cumulant_network", figure="network"),
    log:
        f"{RESULTS}/logs/figures/mixed_cumulant_network.log",
    params:
        settings=STUDY.figure("mixed_cumulant_network", "experiments", "networks"),
        upstream=f"tables {lineage(RECOVERED, DEPARTED)}",
        code=figure_code("mixed_cumulant_network"),
    shell:
        "python -m memsweep figure --source network_curves={input.curves} network_departures={input.departures}"
        " network_exponents={input.exponents} recovery_times={input.times}"
        " --output {output} <<< {params.settings:q} 2> {log}"


rule figures:
    input:
        rules.mixed_cumulant_overlaps.output,
        rules.mixed_cumulant_scaling.output,
        rules.mixed_cumulant_loss.output,
        rules.mixed_cumulant_network.output if STUDY.network_jobs else [],
