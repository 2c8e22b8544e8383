/* SPDX-License-Identifier: GPL-2.0 */
/*
 * run.h - the bracket around one run of a translation, inline for the path of every
 * chained system call. run.c says what it is for. Trusted.
 */
#pragma once

#include <linux/bottom_half.h>
#include <linux/interrupt.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>

DECLARE_PER_CPU(unsigned long, ubk_run_sequence);

/* With CONFIG_PREEMPT_COUNT a fault handler sees preempt_disable(), and sleeps no more. */
static __always_inline void user_faults_off(void)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		pagefault_disable();
}

static __always_inline void user_faults_on(void)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		pagefault_enable();
}

/* fpregs_unlock() that calls nobody where no softirq has come up meanwhile. */
static __always_inline void user_fpu_off(void)
{
	if (IS_ENABLED(CONFIG_TRACE_IRQFLAGS) || IS_ENABLED(CONFIG_PREEMPT_RT)) {
		fpregs_unlock();
		return;
	}
	barrier();
	__preempt_count_sub(SOFTIRQ_DISABLE_OFFSET);
	if (unlikely(local_softirq_pending())) {
		local_bh_disable();
		local_bh_enable();
	}
}

static __always_inline void ubk_run_begin_inline(int fpu)
{
	preempt_disable();
	user_faults_off();
	/* The sequence is odd before the cache is read: pairs with ubk_run_wait(). As
	 * this_cpu_inc() and smp_mb(), for which the one locked instruction does. */
	asm volatile("lock incq %%gs:%0" : "+m" (ubk_run_sequence) : : "memory", "cc");
	if (fpu) {
		fpregs_lock();
		if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
			switch_fpu_return();
	}
}

static __always_inline void ubk_run_end_inline(int fpu)
{
	if (fpu)
		user_fpu_off();
	/* Everything the run did, before the sequence is even again. As barrier() and
	 * this_cpu_inc(), but not by INC, which has to keep the carry flag. */
	asm volatile("addq $1, %%gs:%0" : "+m" (ubk_run_sequence) : : "memory", "cc");
	user_faults_on();
	preempt_enable();
}
