// SPDX-License-Identifier: GPL-2.0
/*
 * work.c - our workqueue, and what is put off until a grace period has passed
 *
 * Translations are made and address spaces are taken down on one unbound workqueue.
 * ubk_defer() goes through call_rcu(): a run has preemption disabled, so it is an RCU
 * reader like any other; what is due then is done by a kworker, where it may sleep.
 */
#include <linux/llist.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "kernel/glue.h"

struct deferred {
	struct rcu_head rcu;
	struct llist_node node;
	void (*function)(void *argument);
	void *argument;
};

struct workqueue_struct *ubk_workqueue;

static LLIST_HEAD(due);
static atomic_long_t outstanding;	/* deferred and not done */

static void do_due(struct work_struct *work)
{
	struct deferred *at, *next;

	/* The owner may free the object from its function. */
	llist_for_each_entry_safe(at, next, llist_reverse_order(llist_del_all(&due)), node) {
		at->function(at->argument);
		atomic_long_dec(&outstanding);
	}
}

static DECLARE_WORK(due_work, do_due);

static void becomes_due(struct rcu_head *rcu)
{
	llist_add(&container_of(rcu, struct deferred, rcu)->node, &due);
	queue_work(ubk_workqueue, &due_work);
}

void ubk_defer(struct ubk_deferred *storage, void (*function)(void *), void *argument)
{
	struct deferred *deferred = (struct deferred *)storage->opaque;

	BUILD_BUG_ON(sizeof(*deferred) > sizeof(storage->opaque));
	deferred->function = function;
	deferred->argument = argument;
	atomic_long_inc(&outstanding);
	call_rcu(&deferred->rcu, becomes_due);
}

int ubk_work_init(void)
{
	ubk_workqueue = alloc_workqueue("ub", WQ_UNBOUND, 0);
	return ubk_workqueue ? 0 : -ENOMEM;
}

/* After the last caller of ubk_defer() but the deferred functions themselves. */
void ubk_work_drain(void)
{
	do {
		rcu_barrier();
		flush_workqueue(ubk_workqueue);
	} while (atomic_long_read(&outstanding));
}

void ubk_work_exit(void)
{
	ubk_work_drain();
	destroy_workqueue(ubk_workqueue);
}
