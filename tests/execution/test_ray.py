"""Jobs on a Ray cluster of two nodes on this machine, one of which is killed."""

import time

import pytest
from job_calls import calls

from leo_tf import InputError
from leo_tf.execution import ExecutionConfig, make_executor, run_jobs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster():
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_job_of_killed_node_is_restarted_on_another(cluster, job_of):
    node = cluster.add_node(num_cpus=1)
    killed, failing = job_of("killed", "wait once"), job_of("failing", "fail")
    config = ExecutionConfig("ray", jobs=2, threads_per_job=1, ray_address=cluster.address)
    with make_executor(config) as executor:
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


def test_unreachable_cluster_is_an_input_error():
    with pytest.raises(InputError, match=r"Cannot reach a Ray cluster at 127\.0\.0\.1:1 "):
        make_executor(ExecutionConfig("ray", ray_address="127.0.0.1:1"))
