/* SPDX-License-Identifier: GPL-2.0 */
/*
 * glue.h - what the files of src/kernel declare for each other.
 *
 * An enabled task has a struct ubk_task, belongs to a struct ubk_group (of its
 * cgroup) and shares a struct ubk_mm with the other tasks of its address space.
 * Towards the core these are struct ub_thread (embedded) and struct ub_space.
 *
 * Locks, in this order: ubk_settings_lock (mutex: what cgroups want, the hook's
 * presence) → an mm's mmap_lock → ubk_stat_lock (spinlock: the lists of groups,
 * tasks and spaces, and what was flushed) → locks of the core (ubk_lock).
 */
#pragma once

#include <linux/cgroup.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/static_call.h>
#include <linux/task_work.h>

#include "core.h"
#include "kernel/services.h"

struct ubk_mm;

/* cgroup.c: a cgroup that has a setting of its own, or had an enabled task. */

enum ubk_setting {
	UBK_INHERIT,		/* the nearest ancestor with a setting decides */
	UBK_OFF,
	UBK_ON,
};

struct ubk_group {
	struct hlist_node node;		/* by cgroup; ubk_stat_lock to change, RCU to read */
	struct cgroup *cgroup;		/* referenced; its removal is noticed, not prevented */
	enum ubk_setting setting;	/* ubk_settings_lock to change */
	unsigned long users;		/* tasks and spaces; ubk_stat_lock, like the rest */
	unsigned long threads_gone[UB_THREAD_COUNTER_MAX];
	struct ub_space_stat spaces_gone;	/* counters only; gauges stay 0 */
	struct rcu_head rcu;
};

extern spinlock_t ubk_stat_lock;

int ubk_cgroup_init(void);
void ubk_cgroup_exit(void);	/* takes the files away, disables every cgroup */
void ubk_groups_free(void);	/* after the last task and space */
/* For stat.c: calls visit() for each group. ubk_stat_lock held. */
void ubk_groups_visit(void (*visit)(const struct ubk_group *group, void *argument), void *argument);

/* Is any cgroup's own setting 1? Any context. */
bool ubk_cgroups_enabled(void);
/* Does the nearest setting on the way from @cgroup to the root say 1? Any context. */
bool ubk_cgroup_wanted(struct cgroup *cgroup);

/* The group of @cgroup, made when there is none, with one more user; NULL without
 * memory. May sleep. */
struct ubk_group *ubk_group_get(struct cgroup *cgroup);
/* One user less. ubk_stat_lock held. */
void ubk_group_put_locked(struct ubk_group *group);

/* task.c: an enabled task. */

struct ubk_task {
	struct preempt_notifier notifier;	/* keeps ubk_current */
	struct ub_thread thread;	/* space is NULL between exec and the return to user mode */
	struct task_struct *task;	/* valid while in the table, which the task itself leaves */
	struct ubk_mm *mm;		/* a reference, or NULL; the task's own */
	struct ubk_group *group;	/* a use of it; the task's own, read under ubk_stat_lock */
	struct hlist_node node;		/* by task; ubk_stat_lock */
	refcount_t references;		/* the table's, and one for each work that is queued */
	struct callback_head reconcile;
	struct callback_head kick;	/* queued once, at removal */
	bool reconcile_queued;		/* ubk_stat_lock */
	bool kicked;			/* written by the remover */
	bool inside;			/* in ubk_hook_syscall; the task's own */
	bool gone;			/* disabled while inside; the task's own */
	struct llist_node exited;	/* on the way to its mm being put */
	struct rcu_head rcu;
};

/* The enabled task that runs on this CPU, or NULL. */
DECLARE_PER_CPU(struct ubk_task *, ubk_current);

/* The parameter `enabled`, false also from the beginning of removal on. */
extern bool ubk_enabled;
static inline bool ubk_active(void)
{
	return READ_ONCE(ubk_enabled);
}

/**
 * ubk_task_reconcile - make the current task what its cgroup wants it to be
 * Enables or disables it, moves it to another group, gives it a space after an exec.
 * Context: task work; may sleep.
 */
void ubk_task_reconcile(void);
/* The enabled task of @task, or NULL. ubk_stat_lock held. */
struct ubk_task *ubk_task_find_locked(struct task_struct *task);
/* Queues a reconciliation, if none is queued. ubk_stat_lock held. */
void ubk_task_ask_locked(struct ubk_task *task);
/* The current task exits: it may be inside the handler and never return. Atomic. */
void ubk_task_exiting(void);
/* The handler found task->gone on its way out. */
void ubk_task_left(struct ubk_task *task);

/* Ends runs and chains under way soon: makes every enabled task see work. */
void ubk_tasks_poke(void);
/* For stat.c: calls visit() for each enabled task. ubk_stat_lock held. */
void ubk_tasks_visit(void (*visit)(const struct ubk_task *task, void *argument), void *argument);
/* Removal: wakes each enabled task once, to disable itself. Returns 0 when there is none
 * and no work of one. ubk_stat_lock held. */
unsigned int ubk_tasks_kick_locked(void);
void ubk_tasks_name_one(void);		/* in the log */
void ubk_tasks_flush_exited(void);	/* waits for what exited tasks left to be put */

/* track.c: which tasks are asked to reconcile, and when. */

extern bool ubk_removing;	/* no task is enabled any more; ubk_stat_lock */

int ubk_tasks_init(void);
/* Disables every task and waits until none is left in our code. May sleep for long. */
void ubk_tasks_exit(void);
/* What @cgroup's tasks are to be has changed: every task in the subtree finds out on its
 * way to user mode. */
void ubk_tasks_ask(struct cgroup *cgroup);

/* hook.c */

int ubk_hook_init(void);
void ubk_hook_exit(void);
/* One enabled cgroup more, one less. ubk_settings_lock held; may sleep. */
int ubk_hook_get(void);
void ubk_hook_put(void);

typedef long ubk_syscall_type(const struct pt_regs *regs, unsigned int nr);
DECLARE_STATIC_CALL(ubk_original, ubk_syscall_type);
long ubk_interrupted(unsigned int nr);

/**
 * ubk_call_syscall - call the kernel's own x64_sys_call()
 * @regs: as the entry code leaves them; @nr: below NR_syscalls, after array_index_nospec()
 * The way to it for the hook and for ubk_next_image() alike. A call of a task that is
 * being removed from ub restarts instead of showing EINTR that no signal caused.
 * Context: the enabled task itself. Return: what goes to regs->ax.
 */
static __always_inline long ubk_call_syscall(struct pt_regs *regs, unsigned int nr)
{
	long result = static_call(ubk_original)(regs, nr);

	return unlikely(result == -EINTR) ? ubk_interrupted(nr) : result;
}

/* stat.c: a space's numbers, from its creation to its end. */

struct ubk_stat_space {
	struct list_head node;		/* ubk_stat_lock */
	struct ubk_group *group;	/* a use of it: the space's first task's */
	struct ub_space *space;
	struct mm_struct *mm;
};

/* @space is counted in @group from now on. May be called under any sleeping lock. */
void ubk_stat_add_space(struct ubk_stat_space *entry, struct ubk_group *group, struct ub_space *space,
			struct mm_struct *mm);
/* Keeps its counters in the group and forgets it; before ub_space_destroy(). */
void ubk_stat_drop_space(struct ubk_stat_space *entry);
/* Keeps a thread's counters in its group and zeroes them. ubk_stat_lock held; the task itself. */
void ubk_stat_flush_thread(struct ubk_group *group, struct ub_thread *thread);
/* The space at a place of the list, or NULL. ubk_stat_lock held. */
struct ubk_stat_space *ubk_stat_space_at(loff_t place);
/* Calls visit() for each space. It must not sleep. */
void ubk_stat_visit_spaces(void (*visit)(struct ubk_stat_space *entry));
/* What ub.stat of a cgroup shows. */
int ubk_stat_show(struct seq_file *seq, struct cgroup *cgroup);

/* sites.c: ub.sites in debugfs */
void ubk_sites_init(void);
void ubk_sites_exit(void);	/* waits for readers */

/* selftest.c: runs the verifier's tables if it is to. Return: 0, or why not to load. */
int ubk_selftest(void);

/* machine.c: what the core must know of the CPU and the kernel. */
void ubk_machine_fill(struct ub_machine *machine);

/* mm.c: an enabled address space; codemem.c, faults.c, work.c */

/**
 * ubk_mm_get_current - the object of current->mm, made and watched when there is none
 * @group: where a new space is counted
 * Context: task work of an enabled task; may sleep. Return: a reference, or NULL.
 */
struct ubk_mm *ubk_mm_get_current(struct ubk_group *group);
void ubk_mm_put(struct ubk_mm *mm);		/* may sleep */
struct ub_space *ubk_mm_space(struct ubk_mm *mm);
/* Soon calls ub_space_trim() for the space behind a list entry. ubk_stat_lock held. */
void ubk_mm_trim(struct ubk_stat_space *stat);

int ubk_codemem_init(void);
void ubk_codemem_exit(void);
int ubk_faults_init(void);
void ubk_faults_exit(void);
int ubk_mm_init(void);
void ubk_mm_exit(void);		/* waits until the last object is gone */
/* pressure.c */
int ubk_pressure_init(void);
void ubk_pressure_exit(void);
/* The core has so many more allocations, or fewer. Any context. */
void ubk_pressure_count(long more);

int ubk_work_init(void);
void ubk_work_exit(void);
/* Waits until everything that was deferred is done, and every work of ours. May sleep. */
void ubk_work_drain(void);
extern struct workqueue_struct *ubk_workqueue;

/* codemem.c: bytes of the arena that are reserved. */
unsigned long ubk_codemem_used(void);

/* run.c: waits until each of the CPUs has left the run it is in, if any. What was unpublished
 * before is then run by none of them. Any context in which IRQs are on. */
void ubk_run_wait(const struct cpumask *cpus);

/* breakpoints.c: a run leaves when a hardware breakpoint is set on its CPU. Where that cannot be, ub loads. */
void ubk_breakpoints_init(void);
void ubk_breakpoints_exit(void);

/* watch.c: code is about to be read from a mapped file. True if nobody can write to it now,
 * and its mappings will be unmapped before somebody can. Context: may sleep; mmap_lock may be held. */
bool ubk_watch_file(struct file *file);
int ubk_watch_init(void);
void ubk_watch_exit(void);
