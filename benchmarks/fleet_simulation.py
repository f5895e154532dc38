"""What many videos take on a fleet, in simulated time; and whether the simulation is right for a fleet that can be run.

    python -m benchmarks.fleet_simulation [--videos 10000] [--price PER_HOST_HOUR]  # the tables
    python -m benchmarks.fleet_simulation --check FOLDER    # beside 24 small videos on three nodes of Ray

The tables are of 720p, 49 frames, 50 guided steps, on hosts with eight chips of v6e. Their costs are what was measured
where it could be, the compiler's schedule for what needs a TPU, and else an assumption; COSTS says which.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.fleet_model import CHIPS, CPU, HOST, Fleet, FleetCosts, Outcome, StageCosts
from tests.fleet.local_cluster import cluster_environment, running_cluster
from tests.fleet.projects import make_project

COSTS = FleetCosts(
    stages=(
        # start, work: benchmarks/results/full_size.md, on two cores; bytes: 256 places in bfloat16
        StageCosts("encode", HOST, start_s=60, compile_s=0, work_s=15.3, cores=1, output_bytes=2e6),
        # start: 15.5 GiB of weights, as there; compile: results/tpu_compile.md; work: 50 steps by the schedule of the
        # compiler (docs/decisions/0043)
        StageCosts("denoise", CHIPS, 36, 23, 34, 1, 6e6, is_saved=True),
        # compile: results/tpu_compile.md; work: 13 chunks by the schedule and the way of 135 MB from the chips, assumed
        StageCosts("decode", CHIPS, 21, 140, 2, 1, 135e6),
        StageCosts("export", CPU, 1, 0, 3, 1, 3e6),  # assumed: 16 frames a second on one core
    ),
    driver_s=0.068,  # as --check measured it, the start of `doit` and Ray included
    host_cores=100,
    seats={CHIPS: 1, HOST: 1, CPU: 4},
    host_bytes_per_s=1e9,  # assumed, as the next two
    store_bytes_per_s=50e9,
    request_s=0.05,
)
SPOT = replace(COSTS, preemptions_per_hour=0.2, replace_s=600)  # assumed
HOSTS = (1, 2, 4, 8, 16, 32, 64)
CHECKED_VIDEOS, CHECKED_NODES = 24, 3
CHECKED = """\
[encode]
prompt = "A red circle moves to the right."

[denoise]
num_frames = 9
height = 96
width = 96
num_inference_steps = 20
"""


def main() -> None:
    """Print the tables, or the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--price", type=float, help="of a host for an hour, in any currency")
    parser.add_argument(
        "--check", type=Path, metavar="FOLDER", help="make 24 videos there, on one machine and on three nodes"
    )
    options = parser.parse_args()
    if options.check:
        check(options.check)
        return
    slow = tuple(replace(stage, work_s=114) if stage.name == "denoise" else stage for stage in COSTS.stages)
    for title, costs in {
        "Hosts that stay": COSTS,
        "Hosts that are preempted every five hours, and replaced in ten minutes": SPOT,
        "Hosts that stay, a denoise as long as the best that was published for such a slice": replace(
            COSTS, stages=slow
        ),
    }.items():
        print(f"\n## {title}\n")
        print_table(costs, options.videos, options.price)


def print_table(costs: FleetCosts, num_videos: int, price: float | None) -> None:
    """One row for each number of hosts."""
    print("| hosts | hours | of the work | chips at work | host hours | cost | moved, GB | driver | chips otherwise |")
    print("|---|---|---|---|---|---|---|---|---|")
    at_work = [stage.name for stage in costs.stages if stage.seat == CHIPS]
    least_s = num_videos * sum(stage.work_s for stage in costs.stages if stage.seat == CHIPS)
    for hosts in HOSTS:
        outcome = Fleet(costs, num_videos=num_videos, num_hosts=hosts).run()
        hours = outcome.makespan_s / 3600
        shares = {name: spent / (hosts * outcome.makespan_s) for name, spent in outcome.chip_s.items()}
        others = sorted(((share, name) for name, share in shares.items() if name not in at_work), reverse=True)
        shown = ", ".join(f"{name} {share:.1%}" for share, name in others[:3])
        cost = "-" if price is None else f"{price * hosts * hours:,.0f}"
        print(
            f"| {hosts} | {hours:,.1f} | {outcome.makespan_s * hosts / least_s:.2f} "
            f"| {sum(shares.get(name, 0) for name in at_work):.1%} | {hosts * hours:,.0f} | {cost} "
            f"| {outcome.moved_bytes / 1e9:,.0f} | {outcome.driver_busy_s / outcome.makespan_s:.1%} | {shown} |"
        )


def check(folder: Path) -> None:
    """Measure a run on three nodes of this machine, and simulate it from what single stages take on it.

    What a fleet adds to each process is taken from one video on it: what that takes beyond the simulated one.
    """
    sweep = f'"denoise.seed" = "1..{CHECKED_VIDEOS}"'
    with running_cluster(CHECKED_NODES) as cluster:
        stages = measure_stages(make_project(folder / "alone", cluster, sweep, CHECKED, runner="local"))
        first_s, _ = timed(make_project(folder / "one", cluster, text=CHECKED), "tiny")
        real_s, driver_cpu_s = timed(make_project(folder / "many", cluster, sweep, CHECKED), "tiny")
    costs = FleetCosts(
        stages=tuple(stages),
        driver_s=driver_cpu_s / (CHECKED_VIDEOS * len(stages)),
        host_cores=os.cpu_count() or 1,
        seats={CPU: 1},
        host_bytes_per_s=1e9,
        store_bytes_per_s=1e9,
        request_s=0,
        is_one_machine=True,
    )
    alone_s = simulate(costs, 1, 1).makespan_s
    added_s = max(first_s - alone_s, 0) / len(stages)
    costs = replace(costs, stages=tuple(replace(stage, start_s=stage.start_s + added_s) for stage in stages))
    simulated_s = simulate(costs, CHECKED_VIDEOS, CHECKED_NODES).makespan_s
    for stage in costs.stages:
        print(stage)
    print(f"a fleet adds {added_s:.2f} s to each process; the driver computes {costs.driver_s * 1000:.0f} ms per node")
    print(f"real {real_s:.1f} s, simulated {simulated_s:.1f} s: {simulated_s / real_s:.2f}")


def simulate(costs: FleetCosts, num_videos: int, num_hosts: int) -> Outcome:
    """A run of so many videos on so many hosts."""
    return Fleet(costs, num_videos=num_videos, num_hosts=num_hosts).run()


def measure_stages(root: Path) -> list[StageCosts]:
    """The costs of each stage on this machine, from videos that it makes stage by stage."""
    return [measure_stage(root, name) for name in ("encode", "denoise", "decode", "export")]


def measure_stage(root: Path, name: str) -> StageCosts:
    """Of a stage whose inputs are there."""
    wall_s, cpu_s = timed(root, name)
    runs = [json.loads(path.read_text()) for path in root.glob(f"artifacts/{name}/*/run.json")]
    first = next(run for run in runs if run["number_in_process"] == 1)
    later = [run["job_s"] for run in runs if run["number_in_process"] > 1] or [first["job_s"]]
    sizes = [path.stat().st_size for path in root.glob(f"artifacts/{name}/*/*") if path.suffix != ".json"]
    work_s = median(later)
    return StageCosts(
        name, CPU, first["start_s"], max(first["job_s"] - work_s, 0), work_s, max(cpu_s / wall_s, 1), median(sizes)
    )


def timed(root: Path, *arguments: str) -> tuple[float, float]:
    """Seconds of a run of doit, and of its processes' computing; on a fleet, of the driver's alone."""
    begun, before = time.perf_counter(), cpu_of_children()
    command = [sys.executable, "-m", "doit", *arguments]
    subprocess.run(command, cwd=root, env=cluster_environment(), check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - begun, cpu_of_children() - before


def cpu_of_children() -> float:
    """Seconds that ended children have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
