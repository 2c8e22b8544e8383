/* SPDX-License-Identifier: GPL-2.0 */
/*
 * core.h - all that the kernel glue may call of the C++ core.
 *
 * C and C++ read this. Values are `unsigned long`, so that both sides agree on
 * types. Names: ub_* is the core, ubk_* the glue (kernel/services.h).
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct ubk_mm;		/* the glue's object for an address space */
struct ub_space;	/* the core's: its translations and sites */

/* The user's registers as the entry code saves them: struct pt_regs on x86-64. */
struct ub_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

/* Counters of a thread; its own increments only, read by anybody. COUNTER(name). */
#define UB_THREAD_COUNTERS(COUNTER)	\
	COUNTER(syscalls)		\
	COUNTER(chained)		\
	COUNTER(entries)		\
	COUNTER(exits)

enum ub_thread_counter {
#define COUNTER(name) UB_COUNT_##name,
	UB_THREAD_COUNTERS(COUNTER)
#undef COUNTER
#define EXIT_REASON(name, key) UB_COUNT_exit_##key,
#include "exit_reasons.inc"
#undef EXIT_REASON
	UB_THREAD_COUNTER_MAX	/* UB_COUNT_exit_syscall is kept at 0 and not shown */
};

/* Numbers of an address space; under the space's lock or atomic, read by anybody. */
#define UB_SPACE_COUNTERS(GAUGE, COUNTER)	\
	GAUGE(sites)				\
	GAUGE(translations)			\
	GAUGE(code_bytes)			\
	COUNTER(translated)			\
	COUNTER(explored)			\
	COUNTER(rejected)			\
	COUNTER(retired)			\
	COUNTER(translate_usec)			\
	COUNTER(rolled_back)

struct ub_space_stat {
#define FIELD(name) unsigned long name;
	UB_SPACE_COUNTERS(FIELD, FIELD)
#undef FIELD
};

/* What ub.sites shows of a site. */
#define UB_EXITS (UB_THREAD_COUNTER_MAX - UB_COUNT_exit_syscall)
struct ub_site {
	unsigned long start;		/* where its gaps begin: behind a syscall instruction */
	int syscall;			/* the call before them, once; -1: not known yet */
	unsigned int samples;		/* gaps timed natively */
	unsigned int rounds;		/* translations attempted */
	unsigned int learned;		/* branches that they were told of */
	unsigned int explored;		/* parts of gaps translated to learn from them */
	unsigned long chained;		/* calls of the chains that ended in its gaps */
	unsigned long exits[UB_EXITS];	/* from inside its gaps, by reason; [0] is 0 */
	unsigned int native_ns;		/* median of the last gaps timed; 0: there is none */
	unsigned int translated_ns;
	const char *verdict;
};
#define UB_SITES_MAX 2048		/* of a space */

/* The core's part of an enabled thread, embedded in the glue's. Zeroed by the glue when
 * the thread is enabled; ub_thread_join() then, and when it is disabled or execs. Only the
 * thread itself touches the rest. */
struct ub_thread {
	struct ub_space *space;
	struct ub_translation *const *buckets;	/* of the space's cache; null without a space */
	unsigned long count[UB_THREAD_COUNTER_MAX];
	/* profiler */
	unsigned long window_start_ns;	/* of the coarse window */
	unsigned int window_syscalls;	/* in it so far */
	unsigned int until_sample;	/* native syscalls until the next one is sampled; below 2: it is */
	unsigned int sample_interval;	/* what that was drawn from */
	unsigned int dull;		/* samples since one was of use: ever fewer are taken */
	unsigned long gap_start_ip;	/* site whose gap is being timed, or 0 */
	unsigned long gap_start_ns;
	unsigned long turn_at;		/* site whose next gap is to be timed, or 0 */
	unsigned char intensive;	/* coarse verdict of the last full window */
	unsigned char turn_native;	/* it is not chained then */
	unsigned char native_turn;	/* the next gap, whatever its site, is not chained but timed */
	unsigned char gap_translated;	/* the gap being timed began in a translation */
};

/* Runtime-changeable settings (settings.inc); plain words, read without a lock, written by
 * the glue after it has checked their range. */
struct ub_settings {
#define SETTING(field, value, lowest, highest, description) unsigned int field;
#include "settings.inc"
#undef SETTING
};
extern struct ub_settings ub_settings;

/* What the core must know of the machine; filled by the glue before ub_core_init(). */
struct ub_machine {
	unsigned int poll_mask;		/* TIF_* bits (below 32) that end a run */
	unsigned char mask_bit;		/* 47, with 5-level paging 56 */
	unsigned char locked_accesses;	/* 0 where split-lock detection is on */
	unsigned char avx;		/* AVX, AVX2, BMI and FMA usable */
	unsigned char avx512;		/* AVX-512 F, BW, DQ, VL usable */
};

/**
 * ub_core_init - make the core ready
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int ub_core_init(const struct ub_machine *machine);
void ub_core_exit(void);	/* no space may be left */

/**
 * ub_space_create - the core's side of an address space
 * Context: may sleep. Return: the space with no translations, or NULL (no memory).
 */
struct ub_space *ub_space_create(struct ubk_mm *mm);

/**
 * ub_space_invalidate - guest memory [start, end) changes or may have changed
 * Every translation made from it is unpublished: no run that begins after this
 * returns can enter it. The caller then waits for the runs under way.
 * Context: atomic; any lock of the mm may be held. Return: how many were dropped.
 */
unsigned int ub_space_invalidate(struct ub_space *space, unsigned long start, unsigned long end);

/**
 * ub_space_trim - memory is wanted elsewhere
 * Sites that were not used since the last call lose their translation and what was learned for
 * it; hot again, they begin anew. Not while ub_translate() is running for the space.
 * Context: may sleep. Return: how many sites gave something.
 */
unsigned int ub_space_trim(struct ub_space *space);

/**
 * ub_space_destroy - drop a space and all it owns
 * The caller guarantees that no thread has it any more, that ub_translate() is not
 * running for it, and that a grace period has passed since both. Context: may sleep.
 */
void ub_space_destroy(struct ub_space *space);

void ub_space_stat(const struct ub_space *space, struct ub_space_stat *stat);

/**
 * ub_space_sites - the sites of a space as they are at the moment
 * @sites: room for UB_SITES_MAX
 * Context: any; no lock. Return: how many there are.
 */
unsigned int ub_space_sites(const struct ub_space *space, struct ub_site *sites);

/* The thread belongs to a space from now on, or to none (NULL). */
void ub_thread_join(struct ub_thread *thread, struct ub_space *space);

/**
 * ub_after_syscall - the hook's door: a syscall of an enabled thread has returned
 * To be opened when ub_due() (runtime/run.h) says so.
 * @regs: its pt_regs with ax = the syscall's result. May be left as after a later
 * syscall, or inside a gap with orig_ax = -1.
 * Context: process context of the thread, preemptible, IRQs on, before exit work.
 */
void ub_after_syscall(struct ub_thread *thread, struct ub_regs *regs);

/**
 * ub_before_syscall - a syscall of an enabled thread begins while a gap is being timed
 * The hook calls it only when thread->gap_start_ip is not 0, before the original.
 * Context: process context of the thread. Timing only: changes nothing but @thread and sites.
 */
void ub_before_syscall(struct ub_thread *thread);

/**
 * ub_translate - make the translations that were asked for in a space
 * Called from a kworker after ubk_request_translation(). Context: may sleep.
 */
void ub_translate(struct ub_space *space);

#ifdef __cplusplus
}
#endif
