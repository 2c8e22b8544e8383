// SPDX-License-Identifier: GPL-2.0
/*
 * services.c - memory, locks and the clock for the core (services.h)
 */
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "kernel/glue.h"

void *ubk_alloc(unsigned long bytes)
{
	/* The program can do without, so nobody is to be killed for it. */
	void *memory = kvzalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);

	if (memory)
		ubk_pressure_count(1);
	return memory;
}

void ubk_free(void *memory)
{
	if (memory)
		ubk_pressure_count(-1);
	kvfree(memory);
}

static spinlock_t *spinlock_of(struct ubk_lock *lock)
{
	BUILD_BUG_ON(sizeof(spinlock_t) > sizeof(lock->opaque));
	BUILD_BUG_ON(__alignof__(spinlock_t) > __alignof__(lock->opaque));
	return (spinlock_t *)lock->opaque;
}

void ubk_lock_init(struct ubk_lock *lock)
{
	/* One lockdep class: the core never holds two of them. */
	spin_lock_init(spinlock_of(lock));
}

void ubk_lock(struct ubk_lock *lock)
{
	spin_lock(spinlock_of(lock));
}

void ubk_unlock(struct ubk_lock *lock)
{
	spin_unlock(spinlock_of(lock));
}

/* Where the TSC is stable this is one clock for all CPUs; elsewhere they may differ by up to
 * a timer tick, still cheaply: the alternative reads a slow device on every sample. */
unsigned long ubk_now_ns(void)
{
	return local_clock();
}
