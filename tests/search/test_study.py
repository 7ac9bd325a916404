"""Studies: no trial is lost or run twice when commands are killed."""

import dataclasses
import json

import filelock
import pytest
from fake_executor import FakeExecutor
from optuna.trial import TrialState

from leo_tf import InputError
from leo_tf.search import storage
from leo_tf.search.plan import SeededRandomSampler, derive_seed
from leo_tf.search.study import Study
from leo_tf.search.trials import run_trials


def settings(study):
    return [trial.params for trial in study.trials]


def quiet(line):
    pass


def accuracy_from_rate(flags):
    return [0.3, 0.2 + 10 * float(flags["outer_lr"]), 0.1]


def test_settings_and_seeds_depend_only_on_study_seed_and_trial_number(tmp_path, plan):
    with Study(tmp_path / "one", plan) as study:
        run_trials(study, FakeExecutor(accuracy_from_rate), 6, quiet)
        expected, seeds = settings(study), [study.training_seed(number) for number in range(6)]
    for max_trials in (2, 3, 6):  # one command after the other
        with Study(tmp_path / "two", plan) as study:
            run_trials(study, FakeExecutor(accuracy_from_rate, capacity=1), max_trials, quiet)
            assert settings(study) == expected[:max_trials]
    with Study(tmp_path / "other", dataclasses.replace(plan, seed=1)) as study:
        run_trials(study, FakeExecutor(accuracy_from_rate), 6, quiet)
        assert all(a != b for a, b in zip(settings(study), expected, strict=True))
        assert len({*seeds, *(study.training_seed(number) for number in range(6))}) == 12
    assert len({json.dumps(each) for each in expected}) == 6


def test_trial_is_an_ordinary_run_with_its_best_validation_as_value(tmp_path, plan):
    executor = FakeExecutor(accuracy_from_rate)
    with Study(tmp_path / "study", plan) as study:
        run_trials(study, executor, 3, quiet)
        for number, (trial, job) in enumerate(zip(study.trials, executor.submitted, strict=True)):
            ((script, flags),) = job.commands
            assert script == "train.py" and f"--seed={study.training_seed(number)}" in flags
            assert "--metavalid_seed=0" in flags  # the same validation tasks for all
            assert f"--checkpoint_path={tmp_path / 'study' / 'trials' / f'trial-00{number}'}" in flags
            assert f"--outer_lr={trial.params['outer_lr']}" in flags
            assert trial.value == pytest.approx(max(0.3, 0.2 + 10 * trial.params["outer_lr"]))
        assert [trial.value for trial in study.ranked] == sorted((t.value for t in study.trials), reverse=True)


def test_commands_that_share_a_study_take_different_trials(tmp_path, plan):
    with Study(tmp_path, plan) as one, Study(tmp_path, plan) as other:
        taken = [study.ask(5).number for study in (one, other, one, other, one)]
        assert taken == [0, 1, 2, 3, 4]
        assert one.ask(5) is None and other.ask(5) is None
        assert not one.claim_selection()


def test_only_trials_of_dead_commands_are_taken_over(tmp_path, plan):
    with Study(tmp_path, plan) as living:
        mine = living.ask(3)
        dead = Study(tmp_path, plan)
        storage.acquire(dead._owner_lock, "")
        left = dead.ask(3)
        dead._owner_lock.release()  # as the kernel does for a killed process
        with Study(tmp_path, plan) as next_one:
            resumed = next_one.ask(3)
            assert (resumed.number, resumed.params) == (left.number, left.params)
            assert next_one.ask(3).number == 2 and next_one.ask(3) is None
        living.tell(mine, TrialState.COMPLETE, 0.5)


def test_trial_killed_while_drawing_settings_gets_the_same_settings(tmp_path, plan):
    with Study(tmp_path / "whole", plan) as study:
        expected = study.ask(1).params
    with Study(tmp_path / "half", plan) as study:
        half = study.optuna_study
        half.sampler = SeededRandomSampler(plan.seed)
        half.ask().suggest_float("outer_lr", 1e-4, 1e-2, log=True)  # killed here
        assert study.ask(1).params == expected


def test_only_the_last_command_claims_the_selection(tmp_path, plan):
    with Study(tmp_path, plan) as one, Study(tmp_path, plan) as other:
        first, second = one.ask(2), other.ask(2)
        one.tell(first, TrialState.COMPLETE, 0.1)
        assert not one.claim_selection()
        other.tell(second, TrialState.COMPLETE, 0.2)
        assert other.claim_selection() and not one.claim_selection()


def test_study_with_another_plan_is_refused_unless_the_setting_may_change(tmp_path, plan):
    with Study(tmp_path, plan):
        pass
    steps = dataclasses.replace(plan, base=plan.base.with_settings({"num_steps_limit": 400}))
    rate = dataclasses.replace(plan, base=plan.base.with_settings({"kl_weight": 0.5}))
    for other, named in [
        (steps, "steps: 300 != 400"),
        (rate, "model.kl_weight: 0.001 != 0.5"),
        (dataclasses.replace(plan, seed=3), "seed: 0 != 3"),
        (dataclasses.replace(plan, sampler="tpe"), "sampler: 'random' != 'tpe'"),
    ]:
        with pytest.raises(InputError, match=f"was started with other settings.*{named}"):
            Study(tmp_path, other)
    Study(tmp_path, dataclasses.replace(plan, base=plan.base.with_settings({"metavalid_batch_size": 7})))


def test_partial_last_line_of_the_journal_is_dropped(tmp_path, plan):
    with Study(tmp_path, plan) as study:
        run_trials(study, FakeExecutor(accuracy_from_rate), 2, quiet)
    journal = tmp_path / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
    with Study(tmp_path, plan) as study:
        run_trials(study, FakeExecutor(accuracy_from_rate), 3, quiet)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_corrupt_or_locked_journal_and_unreachable_database_are_input_errors(tmp_path, plan, monkeypatch):
    with Study(tmp_path, plan):
        pass
    monkeypatch.setattr(storage, "_LOCK_TIMEOUT", 0.2)
    with (
        filelock.FileLock(tmp_path / "journal.log.lock"),
        pytest.raises(InputError, match="held the lock of the study's journal"),
    ):
        Study(tmp_path, plan)
    (tmp_path / "journal.log").write_bytes(b"{}\nno json\n{}\n")
    with pytest.raises(InputError, match=r"journal .* is corrupt"):
        Study(tmp_path, plan)
    for url in ("sqlite:////nowhere/at/all.db", "postgresql://me:secret@127.0.0.1:1/x", "nothing"):
        with pytest.raises(InputError, match="Cannot open the study's database") as caught:
            Study(tmp_path / "other", plan, url)
        assert "secret" not in str(caught.value)


def test_study_in_a_database(tmp_path, plan):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    for max_trials in (2, 4):
        with Study(tmp_path / "study", plan, url) as study:
            run_trials(study, FakeExecutor(accuracy_from_rate), max_trials, quiet)
            assert len(study.ranked) == max_trials


def test_tpe_improves_over_trials(tmp_path, plan):
    with Study(tmp_path, dataclasses.replace(plan, sampler="tpe")) as study:
        run_trials(study, FakeExecutor(lambda flags: [float(flags["outer_lr"])]), 30, quiet)
        rates = [trial.params["outer_lr"] for trial in study.trials]
    assert sum(rates[10:20]) < sum(rates[20:])


def test_failed_trial_is_recorded_and_the_search_continues(tmp_path, plan):
    def curve(flags):
        return [float("nan")] if int(flags["num_latents"]) < 5 else [0.5]

    space = dataclasses.replace(plan.space, settings={"num_latents": plan.space.settings["num_latents"]})
    with Study(tmp_path, dataclasses.replace(plan, space=space)) as study:
        run_trials(study, FakeExecutor(curve), 12, quiet)
        failed = [trial.params["num_latents"] for trial in study.trials if trial.state == TrialState.FAIL]
        assert failed and max(failed) < 5 and len(study.ranked) == 12 - len(failed)


def test_failure_before_the_first_step_ends_the_search_and_loses_no_trial(tmp_path, plan):
    with Study(tmp_path, plan) as study, pytest.raises(InputError, match=r"failed before its first step.*: No data"):
        run_trials(study, FakeExecutor(lambda flags: "Error: No data there"), 3, quiet)
    with Study(tmp_path, plan) as study:
        run_trials(study, FakeExecutor(accuracy_from_rate), 3, quiet)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_asha_prunes_trials_that_are_behind(tmp_path, plan):
    curves = iter([[0.9] * 6, [0.8] * 6, [0.1] * 6, [0.1] * 6])

    class Slow(FakeExecutor):
        """Executor whose jobs 2 and 3 end only when they are stopped."""

        def submit(self, job):
            from concurrent.futures import Future

            done = super().submit(job).result()
            future = Future()
            self.open = {**getattr(self, "open", {}), job.name: (future, done)}
            if not job.name.endswith(("2", "3")):
                future.set_result(done)
            return future

        def stop(self, job):
            super().stop(job)
            future, done = self.open[job.name]
            future.set_result(done | {"ok": False, "stopped": True, "reason": "stopped"})

    executor = Slow(lambda flags: next(curves), capacity=1)
    with Study(tmp_path, dataclasses.replace(plan, pruner="asha")) as study:
        run_trials(study, executor, 4, quiet)
        states = [trial.state for trial in study.trials]
    assert executor.stopped == ["trial-002", "trial-003"]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2


def test_seeds_are_pinned():
    assert derive_seed(0, 0, 0) == 2968811710 and derive_seed(0, 1, 0) != derive_seed(0, 0, 1)
