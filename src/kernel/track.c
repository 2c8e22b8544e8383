// SPDX-License-Identifier: GPL-2.0
/*
 * track.c - whom to ask whether it should be enabled, and when: tasks that fork, exec
 * or move between cgroups (tracepoints tell), all tasks below a cgroup whose setting
 * changes; and nobody any more at removal.
 *
 * Asking is queueing a task work (task.c says what it does). Removal alone wakes tasks:
 * ubk_tasks_exit() takes back the works of those that are not enabled yet, kicks the
 * enabled ones out of the handler, and waits until no task has a notifier, a queued work
 * or a return address in the module.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "kernel/compat.h"
#include "kernel/glue.h"
#include "kernel/probes.h"
#include "kernel/symbols.h"

/* What a task that is not enabled was asked; freed by its work or by the remover. */
struct ask {
	struct callback_head work;
	struct task_struct *task;	/* valid while on the list: its work takes it off */
	struct list_head node;		/* ubk_stat_lock */
};

static LIST_HEAD(asked);		/* ubk_stat_lock */
bool ubk_removing;

static void ask_work(struct callback_head *work)
{
	struct ask *ask = container_of(work, struct ask, work);

	ubk_task_reconcile();
	spin_lock(&ubk_stat_lock);
	list_del(&ask->node);
	spin_unlock(&ubk_stat_lock);
	kfree(ask);
}

static void ask_locked(struct task_struct *target)
{
	struct ubk_task *task = ubk_task_find_locked(target);
	struct ask *ask;

	if (ubk_removing)
		return;
	if (task) {
		ubk_task_ask_locked(task);
		return;
	}
	ask = kmalloc(sizeof(*ask), GFP_ATOMIC | __GFP_NOWARN);
	if (!ask)
		return;
	init_task_work(&ask->work, ask_work);
	ask->task = target;
	if (task_work_add(target, &ask->work, TWA_RESUME))
		kfree(ask);
	else
		list_add(&ask->node, &asked);
}

static void ask_task(struct task_struct *target)
{
	if (target->flags & (UBK_PF_NO_USER | PF_EXITING))
		return;
	spin_lock(&ubk_stat_lock);
	ask_locked(target);
	spin_unlock(&ubk_stat_lock);
}

void ubk_tasks_ask(struct cgroup *cgroup)
{
	struct task_struct *process, *thread;

	rcu_read_lock();
	for_each_process_thread(process, thread)
		if (cgroup_is_descendant(task_dfl_cgroup(thread), cgroup))
			ask_task(thread);
	rcu_read_unlock();
}

/* Probes. Preemption is off in them. */

static void ask_if_wanted(struct task_struct *task)
{
	bool wanted;

	rcu_read_lock();
	wanted = ubk_cgroup_wanted(task_dfl_cgroup(task));
	rcu_read_unlock();
	if (wanted)
		ask_task(task);
}

/* The parent, before the child first runs. */
static void on_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	ask_if_wanted(child);
}

/* The task, with its new mm and still in execve. */
static void on_exec(void *data, struct task_struct *current_task, pid_t old_pid,
		    struct linux_binprm *bprm)
{
	struct ubk_task *task = this_cpu_read(ubk_current);

	if (task) {
		ub_thread_join(&task->thread, NULL);
		ask_task(current_task);
	} else {
		/* It may have been a program of the wrong kind before. */
		ask_if_wanted(current_task);
	}
}

/* The task, its mm left already. */
static void on_exit(void *data, struct task_struct *current_task)
{
	ubk_task_exiting();
}

/* The mover, the task having moved. IRQs are off. */
static void on_attach(void *data, struct cgroup *cgroup, const char *path,
		      struct task_struct *leader, bool threadgroup)
{
	struct task_struct *thread;

	if (!ubk_cgroups_enabled())
		return;
	if (!threadgroup) {
		ask_task(leader);
		return;
	}
	rcu_read_lock();
	for_each_thread(leader, thread)
		ask_task(thread);
	rcu_read_unlock();
}

static struct ubk_probe probes[] = {
	{ "sched_process_fork", on_fork },
	{ "sched_process_exec", on_exec },
	{ "sched_process_exit", on_exit },
	{ "cgroup_attach_task", on_attach },
};

int __init ubk_tasks_init(void)
{
	int error;

	preempt_notifier_inc();
	error = ubk_probes_add(probes, ARRAY_SIZE(probes));
	if (error)
		preempt_notifier_dec();
	return error;
}

static bool same_work(struct callback_head *work, void *wanted)
{
	return work == wanted;
}

/* Returns how many tasks are still to be waited for. */
static unsigned int chase(void)
{
	struct ask *ask, *next;
	unsigned int left;

	spin_lock(&ubk_stat_lock);
	list_for_each_entry_safe(ask, next, &asked, node) {
		if (!UBK_CALL(task_work_cancel_match)(ask->task, same_work, &ask->work))
			continue;	/* it is being run */
		list_del(&ask->node);
		kfree(ask);
	}
	left = ubk_tasks_kick_locked() + !list_empty(&asked);
	spin_unlock(&ubk_stat_lock);
	return left;
}

/*
 * The hook is gone already. An enabled task disables itself, and so leaves the table, on
 * its way to user mode: when it is out of the handler. What it still runs of our code then,
 * and what others run of the trampoline, does not sleep, and synchronize_rcu_tasks() waits
 * until each task has slept of its own accord, been in user mode or idle.
 */
void ubk_tasks_exit(void)
{
	unsigned int rounds = 0;

	spin_lock(&ubk_stat_lock);
	WRITE_ONCE(ubk_removing, true);
	spin_unlock(&ubk_stat_lock);

	while (chase()) {
		if (++rounds % 500 == 0)
			ubk_tasks_name_one();
		msleep(10);
	}

	ubk_probes_remove(probes, ARRAY_SIZE(probes));
	tracepoint_synchronize_unregister();	/* for those of cgroup.c, too */
	ubk_tasks_flush_exited();
	preempt_notifier_dec();
	/* The last instructions of works, handlers and the trampoline. */
	synchronize_rcu_tasks();
}
