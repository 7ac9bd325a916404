"""Workers of a run, from flags, TF_CONFIG and Slurm, and errors in them."""

import json

import pytest

from leo_tf import InputError
from leo_tf.config.cluster import Cluster, expand_counts, expand_hosts, find_cluster

TWO = ("a:1", "b:2")
SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_JOB_ID": "1007",
    "SLURM_STEP_NODELIST": "n[2,10]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURMD_NODENAME": "n10",
}


def tf_config(jobs, kind, index):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_flags_take_precedence():
    environment = tf_config({"worker": ["c:3", "d:4"]}, "worker", 0)
    assert find_cluster("a:1, b:2", 1, environment) == Cluster(TWO, 1)
    assert find_cluster("", None, environment) == Cluster(("c:3", "d:4"), 0)


def test_chief_of_tf_config_is_worker_0():
    jobs = {"chief": ["a:1"], "worker": ["b:2"]}
    assert find_cluster("", None, tf_config(jobs, "chief", 0)) == Cluster(TWO, 0)
    assert find_cluster("", None, tf_config(jobs, "worker", 0)) == Cluster(TWO, 1)
    assert not find_cluster("", None, tf_config(jobs, "worker", 0)).is_chief


def test_slurm_tasks_are_numbered_in_node_list_order():
    found = find_cluster("", None, SLURM)
    assert [address.partition(":")[0] for address in found.addresses] == ["n2", "n2", "n10", "n10"]
    assert found.number == 2
    ports = [int(address.partition(":")[2]) for address in found.addresses]
    assert ports[:2] == ports[2:]
    assert ports[1] == ports[0] + 1
    other = find_cluster("", None, {**SLURM, "SLURM_JOB_ID": "1008"})
    assert not set(found.addresses) & set(other.addresses)


def test_slurm_lists_are_expanded():
    assert expand_hosts("n[08-10,12],login") == ["n08", "n09", "n10", "n12", "login"]
    assert expand_hosts("r[1-2]n[1-2]") == ["r1n1", "r1n2", "r2n1", "r2n2"]
    assert expand_counts("2(x3),1") == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("workers", "index", "environment", "message"),
    [
        ("", None, {}, "nothing names the workers; give workers=host:port"),
        ("", 1, {}, "worker_index=1 was given without workers"),
        ("a:1,b", 1, {}, "workers has 'b'; expected host:port"),
        ("a:1,", 1, {}, "workers has ''; expected host:port"),
        ("a:1,b:70000", 1, {}, "workers has 'b:70000'; expected host:port"),
        ("a:1,a:1", 1, {}, "workers has a:1 twice"),
        ("a:1,b:2", 2, {}, "worker_index=2 was given with 2 workers; expected a whole number from 0 to 1"),
        ("a:1,b:2", None, {}, "worker_index=None was given with 2 workers"),
        ("a:1,b:2", -1, {}, "worker_index=-1 was given with 2 workers"),
        ("", None, {"TF_CONFIG": "{"}, "TF_CONFIG is '{'; expected"),
        ("", None, {"TF_CONFIG": "[]"}, r"TF_CONFIG is '\[\]'; expected"),
        (
            "",
            None,
            tf_config({"worker": ["a:1"], "ps": ["b:2"]}, "worker", 0),
            "parameter servers and evaluators are not supported",
        ),
        ("", None, tf_config({"worker": ["a:1"]}, "worker", 1), "task index=1 was given with 1 workers"),
        ("", None, tf_config({"worker": [3]}, "worker", 0), "TF_CONFIG has 3; expected host:port"),
        ("", None, {"SLURM_PROCID": "0"}, "Slurm's variables cannot be read .*SLURM_JOB_ID"),
        ("", None, {**SLURM, "SLURM_STEP_NODELIST": "n[2"}, "Slurm's variables cannot be read"),
        ("", None, {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "two"}, "'two' does not give the tasks per node"),
        ("", None, {**SLURM, "SLURMD_NODENAME": "n2"}, "Task 2 of the Slurm step runs on n2; expected n10.*block"),
        ("", None, {**SLURM, "SLURM_PROCID": "4"}, "SLURM_PROCID=4 was given with 4 workers"),
    ],
)
def test_errors_say_what_was_expected(workers, index, environment, message):
    with pytest.raises(InputError, match=message):
        find_cluster(workers, index, environment)
