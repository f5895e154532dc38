"""The simulated fleet: its seconds are what can be counted by hand, whatever is shared, waited for or lost."""

from dataclasses import replace

import pytest
import simpy

from benchmarks.fleet_model import CHIPS, CPU, Fleet, FleetCosts, Outcome, Shared, StageCosts

DENOISE = StageCosts("denoise", CHIPS, start_s=10, compile_s=20, work_s=30, cores=1, output_bytes=0)
DECODE = StageCosts("decode", CHIPS, start_s=5, compile_s=7, work_s=2, cores=1, output_bytes=100)
EXPORT = StageCosts("export", CPU, start_s=0, compile_s=0, work_s=1, cores=1, output_bytes=0)
COSTS = FleetCosts(
    stages=(DENOISE,),
    driver_s=0,
    host_cores=8,
    seats={CHIPS: 1, CPU: 1},
    host_bytes_per_s=10,
    store_bytes_per_s=1000,
    request_s=0,
)


def run(costs: FleetCosts, num_videos: int, num_hosts: int) -> Outcome:
    return Fleet(costs, num_videos=num_videos, num_hosts=num_hosts).run()


@pytest.mark.parametrize(("videos", "hosts", "rounds"), [(1, 1, 1), (24, 1, 24), (24, 3, 8), (25, 3, 9), (3, 8, 1)])
def test_videos_are_made_in_rounds_and_each_host_compiles_once(videos: int, hosts: int, rounds: int):
    outcome = run(COSTS, videos, hosts)
    assert outcome.makespan_s == pytest.approx(10 + 20 + 30 * rounds)
    assert outcome.num_starts == {"denoise": min(videos, hosts)}
    assert outcome.chip_s["denoise"] == pytest.approx(30 * videos)


def test_a_stage_gives_its_place_to_the_next_one_when_it_has_no_more_work():
    outcome = run(replace(COSTS, stages=(DENOISE, DECODE, EXPORT)), 4, 1)
    assert outcome.num_starts == {"denoise": 1, "decode": 1, "export": 1}
    pushed_s = 10  # 100 bytes at 10 a second; a host that has made something does not fetch it
    assert outcome.makespan_s == pytest.approx(30 + 4 * 30 + 12 + 4 * (2 + pushed_s) + 1)
    assert outcome.moved_bytes == pytest.approx(400)


def test_what_another_host_has_made_is_fetched():
    only_there = replace(COSTS, stages=(DENOISE, DECODE), seats={CHIPS: 1})
    many = run(only_there, 2, 2)
    assert many.moved_bytes == pytest.approx(200)  # each decodes what it denoised, or the latents, which have no bytes
    export_elsewhere = replace(COSTS, stages=(DECODE, replace(EXPORT, work_s=1000)), seats={CHIPS: 1, CPU: 1})
    outcome = run(export_elsewhere, 3, 2)
    assert outcome.moved_bytes > 300  # two exports at a time, on both hosts, of three videos


def test_all_hosts_wait_for_one_driver():
    assert run(replace(COSTS, driver_s=100), 10, 10).makespan_s == pytest.approx(10 + 20 + 30 + 10 * 100)


def test_cores_of_one_machine_are_shared_by_its_nodes():
    busy = replace(
        COSTS, host_cores=2, is_one_machine=True, stages=(replace(DENOISE, compile_s=0, start_s=0, cores=2),)
    )
    assert run(busy, 2, 2).makespan_s == pytest.approx(60)
    assert run(busy, 2, 1).makespan_s == pytest.approx(60)


def test_who_needs_less_than_its_share_leaves_the_rest_to_others():
    env, ends = simpy.Environment(), dict[str, float]()
    shared = Shared(env, 10)

    def use(name: str, amount: float, most: float):
        yield from shared.use(amount, most)
        ends[name] = env.now

    for name, amount, most in (("slow", 20, 2), ("fast", 40, 100)):
        env.process(use(name, amount, most))
    env.run()
    assert ends == {"fast": pytest.approx(5), "slow": pytest.approx(10)}


@pytest.mark.parametrize("is_saved", [True, False])
def test_hosts_that_go_lose_time_and_no_video(is_saved: bool):
    often = replace(
        COSTS, stages=(replace(DENOISE, is_saved=is_saved, work_s=600),), preemptions_per_hour=4, replace_s=60
    )
    outcome = run(often, 40, 4)
    assert outcome.num_preemptions > 0
    assert outcome.chip_s["denoise"] == pytest.approx(40 * 600) if is_saved else outcome.chip_s["denoise"] > 40 * 600
    assert outcome.makespan_s > 10 * 600
    assert run(often, 40, 4) == outcome  # seeded
