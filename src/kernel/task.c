// SPDX-License-Identifier: GPL-2.0
/*
 * task.c - which tasks are enabled: through fork, exec, exit and moves between
 * cgroups, through writes to ub.enable, and at removal.
 *
 * Only a task itself can put its preempt notifier in or out, so everything is asked
 * of it by a task work that runs on its way to user mode: reconcile() compares what
 * its cgroup wants with what the task is. Tracepoints tell when to ask. Nobody is
 * woken for it: a sleeping task finds out when it returns.
 *
 * Removal alone wakes: ubk_tasks_exit() takes back the works of tasks that are not
 * enabled yet, kicks the enabled ones out of the handler, and waits until no task
 * has a notifier, a queued work or a return address in the module.
 *
 * What is lost without memory: a task is not enabled. Disabling allocates nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/hashtable.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "kernel/compat.h"
#include "kernel/glue.h"
#include "kernel/probes.h"
#include "kernel/symbols.h"

DEFINE_PER_CPU(struct ubk_task *, ubk_current);

/* What a task that is not enabled was asked; freed by its work or by the remover. */
struct ask {
	struct callback_head work;
	struct task_struct *task;
	struct list_head node;
};

/* All under ubk_stat_lock. */
static DEFINE_HASHTABLE(tasks, 10);
static unsigned int task_count;
static LIST_HEAD(asked);
static bool removing;

static struct ubk_task *find_task(struct task_struct *task)
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
	task->thread.space = task->mm ? ubk_mm_space(task->mm) : NULL;
}

static void leave_space(struct ubk_task *task)
{
	task->thread.space = NULL;
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
	task->inside = false;
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
	if (removing) {
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

static void reconcile(void)
{
	struct ubk_task *task = this_cpu_read(ubk_current);
	struct cgroup *cgroup = get_current_cgroup();
	bool wanted = !READ_ONCE(removing) && eligible() && ubk_cgroup_wanted(cgroup);

	if (wanted && task)
		update(task, cgroup);
	else if (wanted)
		enable(cgroup);
	else if (task)
		disable(task);
	css_put(&cgroup->self);
}

static void ask_work(struct callback_head *work)
{
	struct ask *ask = container_of(work, struct ask, work);

	reconcile();
	spin_lock(&ubk_stat_lock);
	list_del(&ask->node);
	spin_unlock(&ubk_stat_lock);
	kfree(ask);
}

static void reconcile_work(struct callback_head *work)
{
	struct ubk_task *task = container_of(work, struct ubk_task, reconcile);

	spin_lock(&ubk_stat_lock);
	task->reconcile_queued = false;
	spin_unlock(&ubk_stat_lock);
	reconcile();
	put_task(task);
}

static void kick_work(struct callback_head *work)
{
	struct ubk_task *task = container_of(work, struct ubk_task, kick);

	reconcile();
	put_task(task);
}

/* Asking. Any context but interrupts; ubk_stat_lock not held. */

static void queue_reconcile_locked(struct ubk_task *task)
{
	if (task->reconcile_queued)
		return;
	task->reconcile_queued = true;
	refcount_inc(&task->references);
	if (task_work_add(task->task, &task->reconcile, TWA_RESUME)) {
		/* It is exiting, and so is its way out. */
		task->reconcile_queued = false;
		refcount_dec(&task->references);
	}
}

static void ask_locked(struct task_struct *target)
{
	struct ubk_task *task = find_task(target);
	struct ask *ask;

	if (removing)
		return;
	if (task) {
		queue_reconcile_locked(task);
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

void ubk_tasks_poke(void)
{
	struct ubk_task *task;
	int bucket;

	spin_lock(&ubk_stat_lock);
	hash_for_each(tasks, bucket, task, node)
		queue_reconcile_locked(task);
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

/* Probes. Preemption is off in them. */

/* The parent, before the child first runs. */
static void on_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	bool wanted;

	rcu_read_lock();
	wanted = ubk_cgroup_wanted(task_dfl_cgroup(child));
	rcu_read_unlock();
	if (wanted)
		ask_task(child);
}

/* The task, with its new mm and still in execve. */
static void on_exec(void *data, struct task_struct *current_task, pid_t old_pid,
		    struct linux_binprm *bprm)
{
	struct ubk_task *task = this_cpu_read(ubk_current);

	if (task) {
		task->thread.space = NULL;
		ask_task(current_task);
		return;
	}
	/* It may have been of the wrong kind before. */
	on_fork(NULL, NULL, current_task);
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

/* The task itself, its mm left already. It may be inside the handler and never return. */
static void on_exit(void *data, struct task_struct *current_task)
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
	struct ubk_task *task;
	struct ask *ask, *next;
	unsigned int left;
	int bucket;

	spin_lock(&ubk_stat_lock);
	list_for_each_entry_safe(ask, next, &asked, node) {
		if (!UBK_CALL(task_work_cancel_match)(ask->task, same_work, &ask->work))
			continue;	/* it is being run */
		list_del(&ask->node);
		kfree(ask);
	}
	left = task_count + !list_empty(&asked);
	hash_for_each(tasks, bucket, task, node) {
		if (task->kicked)
			continue;
		WRITE_ONCE(task->kicked, true);
		refcount_inc(&task->references);
		if (task_work_add(task->task, &task->kick, TWA_SIGNAL))
			refcount_dec(&task->references);
	}
	spin_unlock(&ubk_stat_lock);
	return left;
}

/* Which task keeps the module from going: it is stopped, or sleeps uninterruptibly. */
static void name_one(void)
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

/*
 * The hook is gone already. A task that was on its way into the handler then is
 * inside by now or has been and left: synchronize_rcu_tasks() waits for tasks until they
 * sleep of their own accord, run in user mode or are idle; and none of them sleeps
 * in our code but inside a system call, where `inside` tells of it.
 */
void ubk_tasks_exit(void)
{
	unsigned int rounds = 0;

	spin_lock(&ubk_stat_lock);
	removing = true;
	spin_unlock(&ubk_stat_lock);

	synchronize_rcu_tasks();
	while (chase()) {
		if (++rounds % 500 == 0)
			name_one();
		msleep(10);
	}

	ubk_probes_remove(probes, ARRAY_SIZE(probes));
	tracepoint_synchronize_unregister();	/* for those of cgroup.c, too */
	flush_work(&release_work);
	preempt_notifier_dec();
	/* The last instructions of works, handlers and the trampoline. */
	synchronize_rcu_tasks();
}
