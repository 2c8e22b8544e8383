/* SPDX-License-Identifier: GPL-2.0 */
/*
 * run.h - the door to images: ub_enter() in enter.S runs one image after the other,
 * and asks ubk_next_image() in between. The offsets of struct ub_run are known to the
 * assembler. Trusted.
 *
 * Every chained syscall passes ubk_next_image(): each instruction of it counts. It is
 * made where the kernel's side of the syscall can be inlined (kernel/syscall.c) of
 * ub_run_exit(), the syscall, and ub_run_next(), and it ends with a tail call of one
 * of chain.cc's ub_run_*() functions where something else than the next image follows.
 */
#pragma once

#include "sfi/frame.h"

#define UB_RUN_MASK	0
#define UB_RUN_WORK	8
#define UB_RUN_FSBASE	16
#define UB_RUN_TARGET	24
#define UB_RUN_EXIT	32

#ifndef __ASSEMBLER__
#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The beginning of a runtime::Translation, and a sfi::Exit. */
struct ub_exit {
	unsigned long ip, from, to;
	unsigned int calls;
	unsigned char reason;		/* 0: it is at a syscall */
};
struct ub_translation {
	struct ub_translation *next;	/* in its bucket */
	unsigned long key;		/* where the gap begins; UB_KEY_FPU set if it uses vector registers */
	unsigned long code;
	const struct ub_exit *exits;
};
#define UB_KEY_FPU	(1ul << 63)

/* ub_run.special */
#define UB_RUN_FPU	1ul	/* the run owns the vector registers */
#define UB_RUN_SLOWLY	2ul	/* the next image is asked of ub_run_find(): see chain.cc */

/* What images need beside the user's registers, and what they leave. */
struct ub_run {
	unsigned long mask;		/* ~(1 << mask_bit) */
	const unsigned long *work;	/* the thread's work flags */
	unsigned long fs_base;		/* the user's, range-checked */
	unsigned long target;		/* out: where a missed indirect branch wanted to go, else 0 */
	unsigned int exit;		/* out: number of the last image's exit */
	int left;			/* images that may follow the first before ub_run_refill() is asked */

	/* For what happens between images. ub_run_refill() ends a run whose `remaining` is 0. */
	unsigned int remaining;		/* images that it may still grant */
	unsigned long special;		/* UB_RUN_*; what takes the longer way between images */
	struct ub_regs *regs;
	const struct ub_translation *translation;	/* whose image runs */
	struct ub_translation *const *buckets;		/* of the cache */
};

/**
 * ub_enter - run an image, and those that ubk_next_image() names
 * @regs: the user's registers: loaded, and stored again at each exit, but ip and orig_ax.
 *        sp must be in the user half; of flags, only arithmetic ones, IF (set) and bit 1 (set)
 *        may be set; DF too, for an image without translated string instructions
 * @code: the first image's first byte
 * @run: with left = remaining = 0 just that image is run
 * Context: inside ubk_run_begin()/_end(). Return: run->exit.
 */
unsigned int ub_enter(struct ub_regs *regs, unsigned long code, struct ub_run *run);

/**
 * ubk_next_image - from one image to the next: make the syscall that the last one has reached
 * @exit: the number of the exit it left by
 * Called by ub_enter(). Does what the entry code does: orig_ax, ax = -ENOSYS, cx, r11, seccomp,
 * the call itself, sets ax. Where ub_run_stop() is told that the call was not made, regs are as
 * before but ip, which is at the syscall instruction, and orig_ax = -1.
 * Context: inside a run, which it ends; another has begun when it returns an image.
 * Return: the next image's first byte, or 0: ub_enter() ends.
 */
unsigned long ubk_next_image(struct ub_run *run, unsigned int exit);

/* What may end it, to be returned. Context of the first three: inside a run. */
unsigned long ub_run_refill(struct ub_run *run, unsigned int exit);	/* `left` is negative */
unsigned long ub_run_leave(struct ub_run *run, unsigned int exit);	/* the exit is inside the gap */
unsigned long ub_run_find(struct ub_run *run);				/* at regs->ip; in all cases */
/* Context: outside of a run. @made: the call was made; the chain ends behind it. */
unsigned long ub_run_stop(struct ub_run *run, int made);

/* The exit taken, by its number. */
static inline const struct ub_exit *ub_run_exit(const struct ub_run *run, unsigned int exit)
{
	return &run->translation->exits[exit];
}

/* The end of each bucket, so that none is empty; its key is no user address. */
extern struct ub_translation ub_no_translation;

#define UB_HIGH_HALF(word) (((const unsigned int *)&(word))[1])

#define UB_BUCKETS 512
static inline unsigned int ub_bucket(unsigned long start)
{
	return start % UB_BUCKETS;
}

/* Whether a bucket holds anything; never dereferences it, so this needs no run. */
static inline int ub_may_have(struct ub_translation *const *buckets, unsigned long start)
{
	return __atomic_load_n(&buckets[ub_bucket(start)], __ATOMIC_RELAXED) != &ub_no_translation;
}

/* The image for regs->ip, a user address as exits have it, where it is the first in its bucket.
 * @regs, @special: those of the run. Context: inside a run. Return: as ubk_next_image(). */
static inline unsigned long ub_run_next(struct ub_run *run, const struct ub_regs *regs, unsigned long special)
{
	unsigned long fpu_key = special & UB_RUN_FPU ? UB_KEY_FPU : 0;
	unsigned long ip = regs->ip;
	const struct ub_translation *at = __atomic_load_n(&run->buckets[ub_bucket(ip)], __ATOMIC_ACQUIRE);

	/* Images may have left sp a little outside of the user half. */
	if (__builtin_expect(special & UB_RUN_SLOWLY || at->key != (ip | fpu_key) || UB_HIGH_HALF(regs->sp) > 0x7fff, 0))
		return ub_run_find(run);
	run->translation = at;
	return at->code;
}

/* A native syscall of a thread has returned: is there anything to do? There may be a translation
 * for what follows, or it is to be sampled. Each native syscall of an enabled thread pays this. */
static inline int ub_due(struct ub_thread *thread, const struct ub_regs *regs)
{
	struct ub_translation *const *buckets = thread->buckets;

	if (!buckets)
		return 0;
	if (thread->until_sample < 2)
		return 1;
	thread->until_sample--;
	return ub_may_have(buckets, regs->ip);
}

/* Where exit stubs jump; not a function. */
extern const char ub_leave[];

#ifdef __cplusplus
}
#endif
#endif
