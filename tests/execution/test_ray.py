"""Jobs on a Ray cluster of two nodes on this machine: one is killed, and nothing is lost but time."""

import time

import pytest
from quick_jobs import calls

from leo_tf import InputError
from leo_tf.execution import Execution, executor_of, run_jobs


@pytest.fixture(scope="module")
def cluster():
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_job_of_a_killed_node_is_done_on_another(cluster, job_of):
    node = cluster.add_node(num_cpus=1)
    killed, failing = job_of("killed", "wait once"), job_of("failing", "fail")
    execution = Execution("ray", jobs=2, threads_per_job=1, ray_address=cluster.address)
    with executor_of(execution) as executor:
        future = executor.submit(killed)
        end = time.monotonic() + 240  # a busy machine starts Ray slowly
        while not (killed.folder / "waits").exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        cluster.add_node(num_cpus=1)
        cluster.remove_node(node, allow_graceful=False)
        assert future.result(60)["ok"] and calls(killed) == 2
        statuses = run_jobs([failing], executor, log=print)
        assert statuses["failing"]["reason"] == "Error: nothing there"

        stopped = job_of("stopped", "wait")
        future = executor.submit(stopped)
        while not (stopped.folder / "waits").exists():
            assert time.monotonic() < end + 240
            time.sleep(0.1)
        executor.stop(stopped)
        assert future.result(60)["stopped"]
        assert (stopped.folder / "saved").exists() and not stopped.status_file.exists()


def test_a_cluster_that_does_not_answer_is_one_message():
    with pytest.raises(InputError, match=r"Cannot reach a Ray cluster at 127\.0\.0\.1:1 "):
        executor_of(Execution("ray", ray_address="127.0.0.1:1"))
