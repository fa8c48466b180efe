"""train: one task, from the previous task's state to this one's."""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, read_plan, require_plan
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.plans.train import MachinePlan, TrainPlan
from pipeline.artifacts.split import find_split_digest
from pipeline.building.training import build_optimization
from pipeline.building.views import build_augment
from pipeline.data.batches import training_batches
from pipeline.distributed.group import Group, join_group
from pipeline.distributed.processes import Processes
from pipeline.distributed.sync_batchnorm import synchronize_batchnorm
from pipeline.errors import StateError
from pipeline.files.sealed_json import Json, digest, file_digest
from pipeline.models.backbone import Backbone
from pipeline.runtime.arithmetic import (
    Precision,
    choose_precision,
    describe_rounding,
    explain_precision,
)
from pipeline.runtime.device import Device
from pipeline.runtime.elapsed import Stopwatch
from pipeline.runtime.inputs import Inputs
from pipeline.runtime.shortages import explain_out_of_memory
from pipeline.stages.train_inputs import TaskInputs, begin_strategy, read_inputs
from pipeline.stages.train_online import begin_online
from pipeline.stages.train_outputs import write_outputs
from pipeline.stages.train_probing import begin_probing, say_cost
from pipeline.stages.train_steps import continue_training, plan_steps
from pipeline.training.fit import fit, make_deterministic
from pipeline.training.learner import Learner
from pipeline.training.loggers.opening import open_loggers
from pipeline.training.resume import hold_checkpoint, resume
from pipeline.training.saved import remove_finished


def run(task: int, device: Device, processes: Processes, inputs: Inputs) -> None:
    """Train a task and write its state, its log and its timing.

    Goes on where a process that was stopped or killed left the same training. Of several
    processes the first one writes.

    Args:
        task: the number of the task, from 1.
        device: where to train.
        processes: which of those that train it together this is.
        inputs: what the state is made from, as it was when this process began.

    Raises:
        InterruptedRunError: a signal stopped it; training is saved.
        PipelineError: the device, the split, the images or the previous state are not there
            or not the plan's, or changed while the stage ran; a loss is not finite; or there
            is too little memory.
    """
    plan = require_plan(TrainPlan, f"train_{task}")
    online = read_plan(OnlinePlan, "online")
    machine = require_plan(MachinePlan, "machine")
    batch_size = plan.train.batch_size
    with (
        explain_out_of_memory(
            f"task {task}",
            f"try train.batch_size: {max(1, batch_size // 2)} (now {batch_size}), with "
            "train.learning_rate in proportion, or more train.devices",
        ),
        join_group(processes, device, machine.devices) as group,
    ):
        _train(plan, online, group, machine, inputs)


def _train(
    plan: TrainPlan, online: OnlinePlan | None, group: Group, machine: MachinePlan, noted: Inputs
) -> None:
    where, processes, training, task = group.device, group.processes, plan.train, plan.task
    # The first alone fetches or decodes what is not there yet.
    for turn in (True, False):
        with group.fail_together():
            if processes.first is turn:
                inputs = read_inputs(plan, noted)
    precision = agree_on_precision(training.precision, group, inputs.method.backbone)
    if processes.first:
        print(explain_precision(training.precision, precision, where, inputs.method.backbone))
    if processes.first and task > 1:
        # DVC has the state before, now that this stage has begun.
        remove_finished(task - 1, plan.previous)
    synchronized = processes.count > 1 and training.batchnorm_groups == 1
    if synchronized:
        synchronize_batchnorm(inputs.method)
    augment = build_augment(plan.dataset, plan.views, processes.rank, processes.count)
    make_deterministic(where)
    looking_back = Stopwatch()
    try:
        strategy = begin_strategy(plan, inputs, augment, where)
    except StateError as error:
        raise group.mark_reported(error) from error
    if synchronized:
        synchronize_batchnorm(strategy)
    looked_back = looking_back.read()
    optimization = build_optimization(training)
    with group.fail_together():
        order, steps = plan_steps(plan, strategy, inputs.counts, processes, ordered=inputs.ordered)
    learner = Learner(
        inputs.method,
        strategy,
        augment,
        replace(optimization, epochs=steps.epochs),
        steps,
        plan.seed,
        task,
        training.accumulate_grad_batches,
    )
    if plan.goes_on:
        continue_training(learner, inputs.previous)
    with group.fail_together():
        # In one process alone: no other one needs what it learns.
        if online is not None and processes.first:
            learner.online = begin_online(plan, online, learner, noted)
    probing = read_plan(ProbingPlan, "probing")
    probes = None
    with group.fail_together():
        if probing is not None and processes.first:
            learnt = inputs.previous.origin.task_order
            probes = begin_probing(plan, probing, learnt, learner.steps.total, steps.epochs)
            learner.probing = probes
    fingerprint = _fingerprint(plan, online, probing, inputs, group, precision)
    # All code is imported by now, and all inputs are read.
    with group.fail_together():
        noted.require_unchanged()
    with hold_checkpoint(group, task, fingerprint, plan_digest(plan)) as checkpoint:
        before = resume(learner, checkpoint, group)
        order.start = learner.position.step
        loader = training_batches(inputs.images, order, pin=where is Device.cuda)
        loggers = None
        if processes.first:
            loggers = open_loggers(machine, task, learner.steps.total, training.batch_size)
        elapsed = fit(
            learner,
            loader,
            where,
            precision,
            checkpoint,
            before,
            group,
            machine.num_nodes,
            loggers=loggers,
        )
        if processes.first:
            if probes is not None:
                say_cost(probes, task, elapsed.seconds - before.seconds)
            # Where one has changed, the checkpoint stays: put back, training ends at once.
            noted.require_unchanged()
            write_outputs(plan, online, learner, inputs, elapsed, looked_back, group, precision)


def agree_on_precision(wanted: str, group: Group, network: Backbone) -> Precision:
    """Return the precision of all ranks: float32 where one chooses it, whose CPU is another kind.

    Args:
        wanted: ``train.precision``.
        group: the processes that train; all call this.
        network: what trains.
    """
    own = choose_precision(wanted, group.device, network)
    return "32-true" if group.max_over_ranks(own == "32-true")[0] else own


def _fingerprint(
    plan: TrainPlan,
    online: OnlinePlan | None,
    probing: ProbingPlan | None,
    inputs: TaskInputs,
    group: Group,
    precision: Precision,
) -> str:
    """The SHA-256 of all that shapes what training makes, to the last bit, and its log.

    Args:
        plan: of the training.
        online: of the classifier that is trained beside it; None: there is none.
        probing: of the probes whose accuracies the log has; None: there are none.
        inputs: what it reads.
        group: the processes that train.
        precision: Lightning's name of it.
    """
    read = sorted({*plan.tasks, max(1, plan.task - 1)})
    return digest(
        {
            "plan": plan_digest(plan),
            "parent": inputs.previous.content,
            "splits": [find_split_digest(task) for task in read],
            "device": str(group.device),
            "rounding": describe_rounding(group.device),
            "precision": precision,
            "processes": group.processes.count,
            "torch": torch.__version__,
            **({} if online is None else _describe_online(plan, online)),
            **({} if probing is None else {"probing": plan_digest(probing)}),
        }
    )


def _describe_online(plan: TrainPlan, online: OnlinePlan) -> Json:
    """What shapes the online classifier beyond what shapes the network."""
    held = layout.online(plan.task - 1)
    return {
        "online": plan_digest(online),
        "online_before": file_digest(held) if plan.task > 1 else None,
        "online_splits": [find_split_digest(task) for task in range(1, online.num_tasks + 1)],
    }
