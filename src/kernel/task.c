// SPDX-License-Identifier: GPL-2.0
/*
 * task.c - an enabled task: what it consists of, how a task becomes one, and how it ends.
 *
 * Only a task itself can put its preempt notifier in or out, so everything is asked
 * of it by a task work that runs on its way to user mode: ubk_task_reconcile()
 * compares what its cgroup wants with what the task is. Whom to ask and when is
 * track.c's part. Nobody is woken for it: a sleeping task finds out when it returns.
 *
 * What is lost without memory: a task is not enabled. Disabling allocates nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "kernel/compat.h"
#include "kernel/glue.h"

DEFINE_PER_CPU(struct ubk_task *, ubk_current);

/* Under ubk_stat_lock. */
static DEFINE_HASHTABLE(tasks, 10);
static unsigned int task_count;
/* Queued or being run. A task that exits leaves the table first and runs them later,
 * and may sleep in between: the remover waits for both. */
static unsigned int work_count;

struct ubk_task *ubk_task_find_locked(struct task_struct *task)
{
	struct ubk_task *entry;

	lockdep_assert_held(&ubk_stat_lock);
	hash_for_each_possible(tasks, entry, node, (unsigned long)task)
		if (entry->task == task)
			return entry;
	return NULL;
}

static void put_task(struct ubk_task *task)
{
	if (refcount_dec_and_test(&task->references))
		kfree_rcu(task, rcu);
}

/* The per-CPU pointer: set while an enabled task is on the CPU. */

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	__this_cpu_write(ubk_current, container_of(notifier, struct ubk_task, notifier));
}

static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	__this_cpu_write(ubk_current, NULL);
}

static struct preempt_ops notifier_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

static void start_notifier(struct ubk_task *task)
{
	preempt_disable();
	preempt_notifier_init(&task->notifier, &notifier_ops);
	preempt_notifier_register(&task->notifier);
	__this_cpu_write(ubk_current, task);
	preempt_enable();
}

static void stop_notifier(struct ubk_task *task)
{
	preempt_disable();
	preempt_notifier_unregister(&task->notifier);
	__this_cpu_write(ubk_current, NULL);
	preempt_enable();
}

/* What a task does to itself. Task work context: may sleep. */

static void reconcile_work(struct callback_head *work);
static void kick_work(struct callback_head *work);

static void enter_space(struct ubk_task *task)
{
	task->mm = ubk_mm_get_current(task->group);
	ub_thread_join(&task->thread, task->mm ? ubk_mm_space(task->mm) : NULL);
}

static void leave_space(struct ubk_task *task)
{
	ub_thread_join(&task->thread, NULL);
	if (task->mm)
		ubk_mm_put(task->mm);
	task->mm = NULL;
}

/* Out of the table, its counters into its group. The last thing a task does with its
 * entry, and nothing sleeps after it: then the remover may think it gone. */
static void forget_task(struct ubk_task *task)
{
	spin_lock(&ubk_stat_lock);
	ubk_stat_flush_thread(task->group, &task->thread);
	ubk_group_put_locked(task->group);
	hash_del(&task->node);
	task_count--;
	spin_unlock(&ubk_stat_lock);
	put_task(task);
}

static void disable(struct ubk_task *task)
{
	/* From a work that ran inside a system call, as io_uring's waits do: later. */
	if (task->inside) {
		task->gone = true;
		return;
	}
	stop_notifier(task);
	leave_space(task);
	forget_task(task);
}

void ubk_task_left(struct ubk_task *task)
{
	disable(task);
}

static void enable(struct cgroup *cgroup)
{
	struct ubk_task *task = kzalloc(sizeof(*task), GFP_KERNEL);

	if (!task)
		return;
	task->task = current;
	refcount_set(&task->references, 1);
	init_task_work(&task->reconcile, reconcile_work);
	init_task_work(&task->kick, kick_work);
	task->group = ubk_group_get(cgroup);
	if (!task->group) {
		kfree(task);
		return;
	}
	enter_space(task);

	spin_lock(&ubk_stat_lock);
	if (ubk_removing) {
		ubk_group_put_locked(task->group);
		spin_unlock(&ubk_stat_lock);
		leave_space(task);
		kfree(task);
		return;
	}
	hash_add(tasks, &task->node, (unsigned long)current);
	task_count++;
	spin_unlock(&ubk_stat_lock);
	start_notifier(task);
}

/* The task stays enabled: into another group after a move, another space after an exec. */
static void update(struct ubk_task *task, struct cgroup *cgroup)
{
	task->gone = false;
	if (task->group->cgroup != cgroup) {
		struct ubk_group *group = ubk_group_get(cgroup);

		if (group) {
			spin_lock(&ubk_stat_lock);
			ubk_stat_flush_thread(task->group, &task->thread);
			ubk_group_put_locked(task->group);
			task->group = group;
			spin_unlock(&ubk_stat_lock);
		}
	}
	if (!task->thread.space) {
		leave_space(task);
		enter_space(task);
	}
}

/* x32 and 32-bit programs enter the kernel elsewhere. */
static bool eligible(void)
{
	return !(current->flags & (UBK_PF_NO_USER | PF_EXITING)) && current->mm &&
	       !test_thread_flag(TIF_ADDR32);
}

static struct cgroup *get_current_cgroup(void)
{
	struct cgroup *cgroup;

	rcu_read_lock();
	do {
		cgroup = task_dfl_cgroup(current);
	} while (!css_tryget(&cgroup->self));
	rcu_read_unlock();
	return cgroup;
}

void ubk_task_reconcile(void)
{
	struct ubk_task *task = this_cpu_read(ubk_current);
	struct cgroup *cgroup = get_current_cgroup();
	bool wanted = !READ_ONCE(ubk_removing) && eligible() && ubk_cgroup_wanted(cgroup);

	if (wanted && task)
		update(task, cgroup);
	else if (wanted)
		enable(cgroup);
	else if (task)
		disable(task);
	css_put(&cgroup->self);
}

static bool queue_work_locked(struct ubk_task *task, struct callback_head *work,
			      enum task_work_notify_mode notify)
{
	lockdep_assert_held(&ubk_stat_lock);
	if (task_work_add(task->task, work, notify))
		return false;	/* it is exiting */
	refcount_inc(&task->references);
	work_count++;
	return true;
}

static void work_done(struct ubk_task *task)
{
	spin_lock(&ubk_stat_lock);
	work_count--;
	spin_unlock(&ubk_stat_lock);
	put_task(task);
}

static void reconcile_work(struct callback_head *work)
{
	struct ubk_task *task = container_of(work, struct ubk_task, reconcile);

	spin_lock(&ubk_stat_lock);
	task->reconcile_queued = false;
	spin_unlock(&ubk_stat_lock);
	ubk_task_reconcile();
	work_done(task);
}

static void kick_work(struct callback_head *work)
{
	struct ubk_task *task = container_of(work, struct ubk_task, kick);

	ubk_task_reconcile();
	work_done(task);
}

void ubk_task_ask_locked(struct ubk_task *task)
{
	if (!task->reconcile_queued)
		task->reconcile_queued = queue_work_locked(task, &task->reconcile, TWA_RESUME);
}

void ubk_tasks_poke(void)
{
	struct ubk_task *task;
	int bucket;

	spin_lock(&ubk_stat_lock);
	hash_for_each(tasks, bucket, task, node)
		ubk_task_ask_locked(task);
	spin_unlock(&ubk_stat_lock);
}

void ubk_tasks_visit(void (*visit)(const struct ubk_task *task, void *argument), void *argument)
{
	struct ubk_task *task;
	int bucket;

	lockdep_assert_held(&ubk_stat_lock);
	hash_for_each(tasks, bucket, task, node)
		visit(task, argument);
}

/* What is left of tasks that have exited: their mm is put where one may sleep. */
static void release_exited(struct work_struct *work);
static DECLARE_WORK(release_work, release_exited);
static LLIST_HEAD(exited);

static void release_exited(struct work_struct *work)
{
	struct ubk_task *task, *next;

	llist_for_each_entry_safe(task, next, llist_del_all(&exited), exited) {
		leave_space(task);
		put_task(task);
	}
}

void ubk_task_exiting(void)
{
	struct ubk_task *task = this_cpu_read(ubk_current);

	if (!task)
		return;
	stop_notifier(task);
	refcount_inc(&task->references);
	forget_task(task);
	if (llist_add(&task->exited, &exited))
		schedule_work(&release_work);
}

void ubk_tasks_flush_exited(void)
{
	flush_work(&release_work);
}

unsigned int ubk_tasks_kick_locked(void)
{
	struct ubk_task *task;
	int bucket;

	hash_for_each(tasks, bucket, task, node) {
		if (task->kicked)
			continue;
		WRITE_ONCE(task->kicked, true);
		queue_work_locked(task, &task->kick, TWA_SIGNAL);
	}
	return task_count + work_count;
}

void ubk_tasks_name_one(void)
{
	struct ubk_task *task;
	int bucket;

	spin_lock(&ubk_stat_lock);
	hash_for_each(tasks, bucket, task, node) {
		pr_notice("removal waits for %u tasks, one is %s (%d)\n", task_count,
			  task->task->comm, task_pid_nr(task->task));
		break;
	}
	spin_unlock(&ubk_stat_lock);
}
