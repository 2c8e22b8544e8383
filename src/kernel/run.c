// SPDX-License-Identifier: GPL-2.0
/*
 * run.c - the bracket around one run of a translation, and waiting for runs. Trusted.
 *
 * Inside, the thread stays on its CPU, faults on user memory go to their exception
 * entries at once, and the CPU's run sequence is odd. Whoever has unpublished a
 * translation waits until every CPU that may be in it has left the run it was in:
 * a sequence and not a flag, as a chain is in its next run sooner than anybody looks.
 * A run takes no lock and never sleeps, so this wait may happen under any lock.
 */
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>

#include "kernel/glue.h"
#include "kernel/run.h"

DEFINE_PER_CPU(unsigned long, ubk_run_sequence);

/* A run in a loop leaves at its next poll: its thread finds work, which is none. */
static void end_run(unsigned int cpu)
{
	struct ubk_task *task;

	rcu_read_lock();
	task = READ_ONCE(per_cpu(ubk_current, cpu));
	if (task)
		set_tsk_thread_flag(task->task, TIF_NOTIFY_RESUME);
	rcu_read_unlock();
}

void ubk_run_wait(const struct cpumask *cpus)
{
	unsigned int cpu;

	/* What was unpublished, before the sequences are read: pairs with ubk_run_begin_inline(). */
	smp_mb();
	for_each_cpu(cpu, cpus) {
		const unsigned long *sequence = per_cpu_ptr(&ubk_run_sequence, cpu);
		unsigned long seen = READ_ONCE(*sequence);

		if (!(seen & 1))
			continue;
		end_run(cpu);
		while (READ_ONCE(*sequence) == seen)
			cpu_relax();
	}
	/* The runs' memory accesses, before what the caller does next. */
	smp_mb();
}

const unsigned long *ubk_work_flags(void)
{
	return &current_thread_info()->flags;
}

unsigned long ubk_fs_base(void)
{
	unsigned long base;

	if (static_cpu_has(X86_FEATURE_FSGSBASE))
		base = rdfsbase();
	else
		/* thread.fsbase does not follow a user's load of the segment register. */
		rdmsrl(MSR_FS_BASE, base);
	/* With 5-level paging the user half ends higher: then this refuses more than it must. */
	return likely(base <= (1UL << 47) - (2UL << 30)) ? base : ~0UL;
}
