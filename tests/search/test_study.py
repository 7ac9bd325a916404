"""Studies: no trial is lost and none comes twice, whoever dies."""

import dataclasses
import json

import filelock
import pytest
from optuna.trial import TrialState
from pretended_runs import PretendedRuns

from leo_tf import InputError
from leo_tf.search import storage
from leo_tf.search.sampling import seed_of
from leo_tf.search.study import Study
from leo_tf.search.trials import run_trials


def settings(study):
    return [trial.params for trial in study.trials]


def quiet(line):
    pass


def accuracy_from_rate(flags):
    return [0.3, 0.2 + 10 * float(flags["outer_lr"]), 0.1]


def test_settings_and_seeds_depend_on_study_seed_and_trial_number_alone(tmp_path, plan):
    with Study(tmp_path / "one", plan) as study:
        run_trials(study, PretendedRuns(accuracy_from_rate), 6, quiet)
        expected, seeds = settings(study), [study.seed(number) for number in range(6)]
    for most in (2, 3, 6):  # one command after the other
        with Study(tmp_path / "two", plan) as study:
            run_trials(study, PretendedRuns(accuracy_from_rate, capacity=1), most, quiet)
            assert settings(study) == expected[:most]
    with Study(tmp_path / "other", dataclasses.replace(plan, seed=1)) as study:
        run_trials(study, PretendedRuns(accuracy_from_rate), 6, quiet)
        assert all(a != b for a, b in zip(settings(study), expected, strict=True))
        assert len({*seeds, *(study.seed(number) for number in range(6))}) == 12
    assert len({json.dumps(each) for each in expected}) == 6


def test_a_trial_is_an_ordinary_run_judged_by_its_best_validation(tmp_path, plan):
    executor = PretendedRuns(accuracy_from_rate)
    with Study(tmp_path / "study", plan) as study:
        run_trials(study, executor, 3, quiet)
        for number, (trial, job) in enumerate(zip(study.trials, executor.submitted, strict=True)):
            ((script, flags),) = job.commands
            assert script == "train.py" and f"--seed={study.seed(number)}" in flags
            assert "--metavalid_seed=0" in flags  # the same validation tasks for all
            assert f"--checkpoint_path={tmp_path / 'study' / 'trials' / f'trial-00{number}'}" in flags
            assert f"--outer_lr={trial.params['outer_lr']}" in flags
            assert trial.value == pytest.approx(max(0.3, 0.2 + 10 * trial.params["outer_lr"]))
        assert [trial.value for trial in study.ranked] == sorted((t.value for t in study.trials), reverse=True)


def test_two_commands_share_a_study_without_a_trial_twice(tmp_path, plan):
    with Study(tmp_path, plan) as one, Study(tmp_path, plan) as other:
        taken = [study.take(5).number for study in (one, other, one, other, one)]
        assert taken == [0, 1, 2, 3, 4]
        assert one.take(5) is None and other.take(5) is None
        assert not one.closes()


def test_what_a_dead_command_left_is_taken_over_and_what_a_living_one_has_is_not(tmp_path, plan):
    with Study(tmp_path, plan) as living:
        mine = living.take(3)
        dead = Study(tmp_path, plan)
        storage.acquire(dead._life, "")
        left = dead.take(3)
        dead._life.release()  # as the kernel does for a killed process
        with Study(tmp_path, plan) as next_one:
            again = next_one.take(3)
            assert (again.number, again.params) == (left.number, left.params)
            assert next_one.take(3).number == 2 and next_one.take(3) is None
        living.finish(mine, TrialState.COMPLETE, 0.5)


def test_a_trial_whose_settings_were_half_drawn_gets_the_rest_as_if_nothing_had_happened(tmp_path, plan):
    with Study(tmp_path / "whole", plan) as study:
        expected = study.take(1).params
    with Study(tmp_path / "half", plan) as study:
        half = study._study
        from leo_tf.search.sampling import NumberedDraws

        half.sampler = NumberedDraws(plan.seed)
        half.ask().suggest_float("outer_lr", 1e-4, 1e-2, log=True)  # killed here
        assert study.take(1).params == expected


def test_the_last_of_several_commands_chooses_and_no_other(tmp_path, plan):
    with Study(tmp_path, plan) as one, Study(tmp_path, plan) as other:
        first, second = one.take(2), other.take(2)
        one.finish(first, TrialState.COMPLETE, 0.1)
        assert not one.closes()
        other.finish(second, TrialState.COMPLETE, 0.2)
        assert other.closes() and not one.closes()


def test_a_study_begun_otherwise_is_refused_and_what_may_change_may(tmp_path, plan):
    with Study(tmp_path, plan):
        pass
    steps = dataclasses.replace(plan, start=plan.start.with_settings({"num_steps_limit": 400}))
    rate = dataclasses.replace(plan, start=plan.start.with_settings({"kl_weight": 0.5}))
    for other, named in [
        (steps, "steps: 300 != 400"),
        (rate, "model.kl_weight: 0.001 != 0.5"),
        (dataclasses.replace(plan, seed=3), "seed: 0 != 3"),
        (dataclasses.replace(plan, sampler="tpe"), "sampler: 'random' != 'tpe'"),
    ]:
        with pytest.raises(InputError, match=f"was begun otherwise.*{named}"):
            Study(tmp_path, other)
    Study(tmp_path, dataclasses.replace(plan, start=plan.start.with_settings({"metavalid_batch_size": 7})))


def test_a_torn_last_line_of_the_journal_costs_nothing(tmp_path, plan):
    with Study(tmp_path, plan) as study:
        run_trials(study, PretendedRuns(accuracy_from_rate), 2, quiet)
    journal = tmp_path / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
    with Study(tmp_path, plan) as study:
        run_trials(study, PretendedRuns(accuracy_from_rate), 3, quiet)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_a_damaged_and_a_locked_journal_and_a_lost_database_are_one_message_each(tmp_path, plan, monkeypatch):
    with Study(tmp_path, plan):
        pass
    monkeypatch.setattr(storage, "_SECONDS", 0.2)
    with (
        filelock.FileLock(tmp_path / "journal.log.lock"),
        pytest.raises(InputError, match=r"the study's journal .* locked"),
    ):
        Study(tmp_path, plan)
    (tmp_path / "journal.log").write_bytes(b"{}\nno json\n{}\n")
    with pytest.raises(InputError, match=r"journal .* is damaged"):
        Study(tmp_path, plan)
    for url in ("sqlite:////nowhere/at/all.db", "postgresql://me:secret@127.0.0.1:1/x", "nothing"):
        with pytest.raises(InputError, match="Cannot open the study's database") as caught:
            Study(tmp_path / "other", plan, url)
        assert "secret" not in str(caught.value)


def test_a_database_keeps_a_study_too(tmp_path, plan):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    for most in (2, 4):
        with Study(tmp_path / "study", plan, url) as study:
            run_trials(study, PretendedRuns(accuracy_from_rate), most, quiet)
            assert len(study.ranked) == most


def test_tpe_goes_where_it_is_better(tmp_path, plan):
    with Study(tmp_path, dataclasses.replace(plan, sampler="tpe")) as study:
        run_trials(study, PretendedRuns(lambda flags: [float(flags["outer_lr"])]), 30, quiet)
        rates = [trial.params["outer_lr"] for trial in study.trials]
    assert sum(rates[10:20]) < sum(rates[20:])


def test_a_failed_trial_is_told_and_the_search_goes_on(tmp_path, plan):
    def curve(flags):
        return [float("nan")] if int(flags["num_latents"]) < 5 else [0.5]

    space = dataclasses.replace(plan.space, parts={"num_latents": plan.space.parts["num_latents"]})
    with Study(tmp_path, dataclasses.replace(plan, space=space)) as study:
        run_trials(study, PretendedRuns(curve), 12, quiet)
        failed = [trial.params["num_latents"] for trial in study.trials if trial.state == TrialState.FAIL]
        assert failed and max(failed) < 5 and len(study.ranked) == 12 - len(failed)


def test_what_fails_before_the_first_step_ends_the_search_and_no_trial_is_lost(tmp_path, plan):
    with Study(tmp_path, plan) as study, pytest.raises(InputError, match=r"failed before its first step.*: No data"):
        run_trials(study, PretendedRuns(lambda flags: "Error: No data there"), 3, quiet)
    with Study(tmp_path, plan) as study:
        run_trials(study, PretendedRuns(accuracy_from_rate), 3, quiet)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_asha_stops_those_that_are_behind(tmp_path, plan):
    curves = iter([[0.9] * 6, [0.8] * 6, [0.1] * 6, [0.1] * 6])

    class Slow(PretendedRuns):
        """Jobs that end when they are stopped, or looked at for the third time."""

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
    assert seed_of(0, 0, 0) == 2968811710 and seed_of(0, 1, 0) != seed_of(0, 0, 1)
