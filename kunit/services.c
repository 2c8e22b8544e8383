// SPDX-License-Identifier: GPL-2.0
/*
 * services.h for the KUnit module: memory, locks and time are the kernel's; code
 * memory is plain memory that nothing executes, guest code is what the case brought
 * (ub_case_guest), and what would happen asynchronously happens at once. Cases that
 * need a running thread are selftests, not KUnit cases.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "cases.h"
#include "kernel/services.h"
#include "runtime/run.h"

static struct {
	unsigned long start, count;
	const void *bytes;
} guest;

void ub_case_guest(unsigned long start, const void *bytes, unsigned long count)
{
	guest.start = start;
	guest.bytes = bytes;
	guest.count = count;
}

void *ubk_alloc(unsigned long bytes)
{
	return kvzalloc(bytes, GFP_KERNEL);
}

void ubk_free(void *memory)
{
	kvfree(memory);
}

static spinlock_t *spinlock_of(struct ubk_lock *lock)
{
	BUILD_BUG_ON(sizeof(spinlock_t) > sizeof(*lock));
	return (spinlock_t *)lock;
}

void ubk_lock_init(struct ubk_lock *lock)
{
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

unsigned long ubk_now_ns(void)
{
	return ktime_get_ns();
}

void ubk_request_translation(struct ubk_mm *mm)
{
}

void ubk_request_trim(void)
{
}

unsigned long ubk_guest_read(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes)
{
	unsigned long count;

	if (start < guest.start || start - guest.start >= guest.count)
		return 0;
	count = min(bytes, guest.count - (start - guest.start));
	memcpy(buffer, guest.bytes + (start - guest.start), count);
	return count;
}

unsigned long ubk_guest_peek(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes)
{
	return ubk_guest_read(mm, start, buffer, bytes);
}

unsigned long ubk_own_peek(unsigned long start, void *buffer, unsigned long bytes)
{
	return 0;
}

unsigned long ubk_code_reserve(unsigned long bytes)
{
	return (unsigned long)vzalloc(bytes);
}

void ubk_code_trim(unsigned long address, unsigned long reserved, unsigned long used)
{
}

int ubk_code_write(unsigned long address, const void *bytes, unsigned long count)
{
	memcpy((void *)address, bytes, count);
	return 0;
}

void ubk_code_release(unsigned long address, unsigned long bytes)
{
	vfree((void *)address);
}

int ubk_faults_publish(unsigned long code, const struct ubk_fault_entry *entries, unsigned long count)
{
	return 0;
}

void ubk_faults_retire(unsigned long code, unsigned long bytes)
{
}

void ubk_defer(struct ubk_deferred *deferred, void (*function)(void *), void *argument)
{
	function(argument);
}

/* Threads: none enters an image here. */

int ubk_run_begin(int fpu)
{
	return 0;
}

void ubk_run_end(int fpu)
{
}

const unsigned long *ubk_work_flags(void)
{
	static const unsigned long flags;

	return &flags;
}

unsigned long ubk_fs_base(void)
{
	return ~0ul;
}

int ubk_may_enter(struct ub_regs *regs)
{
	return 0;
}

unsigned long ubk_next_image(struct ub_run *run, unsigned int exit)
{
	return 0;
}

void ubk_trace_site_hot(unsigned long ip, unsigned long gap_ns)
{
}

void ubk_trace_translate(unsigned long ip, unsigned int instructions, unsigned int bytes, const char *result)
{
}

void ubk_trace_publish(unsigned long ip, unsigned long code)
{
}

void ubk_trace_exit(unsigned long ip, unsigned int reason)
{
}

void ubk_trace_retire(unsigned long ip)
{
}

void ubk_disable_space(struct ubk_mm *mm, const char *why)
{
	WARN_ONCE(1, "ub: %s\n", why);
}
