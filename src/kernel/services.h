/* SPDX-License-Identifier: GPL-2.0 */
/*
 * services.h - all that the core may ask of the kernel. Implemented by src/kernel
 * in the module and by tests/host/services.cc in user space.
 */
#pragma once

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory. Zeroed; NULL when there is none, or the current thread's cgroup may have no more: it is
 * charged to it, and nothing is killed or waited for to get it. Context: may sleep. */
void *ubk_alloc(unsigned long bytes);
void ubk_free(void *memory);

/* A spinlock in the owner's storage. Held for a few loads and stores; may be taken in
 * an mmu notifier, so nothing that allocates or sleeps happens under it. */
struct ubk_lock {
	unsigned long opaque[8];
};
void ubk_lock_init(struct ubk_lock *lock);
void ubk_lock(struct ubk_lock *lock);
void ubk_unlock(struct ubk_lock *lock);

/* Monotonic, cheap, comparable between CPUs to about a microsecond. Any context. */
unsigned long ubk_now_ns(void);

/* Calls ub_translate(space) of @mm from a kworker, soon and at most once at a time per
 * mm; a request while one is pending is the same request. Context: atomic. */
void ubk_request_translation(struct ubk_mm *mm);

/* Calls ub_space_trim() for each space from its kworker, within a second and once in that time. Code
 * memory is full, or a space's share of it. Context: atomic. */
void ubk_request_trim(void);

/**
 * ubk_guest_read - read guest code
 * Only from private, executable, readable, non-writable file mappings (or the vdso)
 * whose file nobody has open for writing and whose pages are not anonymous.
 * Context: may sleep, kworker. Return: bytes read from @start on, up to @bytes,
 * stopping where the condition ends; 0 if not even one.
 */
unsigned long ubk_guest_read(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes);

/**
 * ubk_guest_peek - read guest memory of any kind as it is at the moment, to guess by
 * Reads no more than is there: a page that would have to be brought in, or that is a
 * device's, ends it. Context: may sleep, kworker. Return: as ubk_guest_read().
 */
unsigned long ubk_guest_peek(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes);

/* The same of the current thread's own memory, for hints too. Context: its process context. */
unsigned long ubk_own_peek(unsigned long start, void *buffer, unsigned long bytes);

/* Code memory (DESIGN: the arena). Addresses are of the executable mapping.
 * reserve: 0 when full, length rounded up to pages. write: through a temporary alias,
 * gone when it returns. release: only after a grace period in which no CPU runs it;
 * fills it with int3 first. Context: may sleep. */
unsigned long ubk_code_reserve(unsigned long bytes);
void ubk_code_trim(unsigned long address, unsigned long reserved, unsigned long used);
int ubk_code_write(unsigned long address, const void *bytes, unsigned long count);
void ubk_code_release(unsigned long address, unsigned long bytes);

/* Exception entries of a published image: if the instruction at code + instruction raises
 * an exception the CPU goes on at code + stub. In force when publish returns 0;
 * -ENOSPC when the table is full. Context: may sleep (waits for a grace period). */
struct ubk_fault_entry {
	unsigned int instruction, stub;
};
int ubk_faults_publish(unsigned long code, const struct ubk_fault_entry *entries, unsigned long count);
void ubk_faults_retire(unsigned long code, unsigned long bytes);

/* Calls function(argument) from a kworker after every run and every RCU reader that
 * began before the call has ended. Context: atomic. The queue is drained before unload. */
struct ubk_deferred {
	unsigned long opaque[8];
};
void ubk_defer(struct ubk_deferred *deferred, void (*function)(void *), void *argument);

/**
 * ubk_run_begin/_end - the bracket around one run of a translation
 * Between them: preemption and page faults are disabled, the CPU's run sequence is odd
 * (what ub_space_invalidate()'s caller waits for), user memory may be accessed (AC set
 * by enter.S), and with @fpu the CPU's vector registers are the thread's and stay so.
 * Translations found in between stay valid until _end.
 * Return of _begin: 1, or 0 when work is pending for the thread and no run has begun.
 */
int ubk_run_begin(int fpu);
void ubk_run_end(int fpu);

/* The current thread's work flags word (thread_info.flags), for the frame; its user
 * fs base, or ~0ul when it is not at least 2 GiB below the user half's end. */
const unsigned long *ubk_work_flags(void);
unsigned long ubk_fs_base(void);

/**
 * ubk_may_enter - may the thread run on in the kernel after the syscall it made?
 * No exit work is pending but what is served here (rseq), no syscall_work but seccomp,
 * no ptrace, no debug registers, no single step, 64-bit code segment, ub is enabled.
 * Context: as ub_after_syscall(). Return: 0 no.
 */
int ubk_may_enter(struct ub_regs *regs);

/* Which syscall numbers may be chained, 0 or 1: the table of runtime/syscalls.inc. Bytes, as
 * each chained call looks here, and BT from memory by a register is slow. */
#define UB_SYSCALLS_MAX 512
struct ub_syscall_table {
	unsigned char chains[UB_SYSCALLS_MAX];
};
extern const struct ub_syscall_table ub_syscalls;

/* Tracepoints; no-ops when off. Any context. */
void ubk_trace_site_hot(unsigned long ip, unsigned long gap_ns);
void ubk_trace_translate(unsigned long ip, unsigned int instructions, unsigned int bytes, const char *result);
void ubk_trace_publish(unsigned long ip, unsigned long code);
void ubk_trace_exit(unsigned long ip, unsigned int reason);
void ubk_trace_retire(unsigned long ip);

/* An impossible state was seen in an address space: WARN once and disable ub for it. */
void ubk_disable_space(struct ubk_mm *mm, const char *why);

#ifdef __cplusplus
}
#endif
