/* SPDX-License-Identifier: GPL-2.0 */
/*
 * run.h - the door between C++ and images: ub_enter() in enter.S runs one image after
 * the other, and asks ub_next_image() in between. The offsets of struct ub_run are
 * known to the assembler. Trusted.
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

/* What images need beside the user's registers, and what they leave. */
struct ub_run {
	unsigned long mask;		/* ~(1 << mask_bit) */
	const unsigned long *work;	/* the thread's work flags */
	unsigned long fs_base;		/* the user's, range-checked */
	unsigned long target;		/* out: where a missed indirect branch wanted to go, else 0 */
	unsigned int exit;		/* out: number of the last image's exit */
	int left;			/* images that may follow the first before ub_enter() returns */
	unsigned int refills;		/* how often `left` may be set anew; 0 unless run_chain() made this */
};

/**
 * ub_enter - run an image, and those that ub_next_image() names
 * @regs: the user's registers: loaded, and stored again at each exit, but ip and orig_ax.
 *        sp must be in the user half; of flags, only arithmetic ones, DF, IF (set) and bit 1 (set)
 *        may be set
 * @code: the first image's first byte
 * @run: with left = 0 just that image is run
 * Context: inside ubk_run_begin()/_end(). Return: run->exit.
 */
unsigned int ub_enter(struct ub_regs *regs, unsigned long code, struct ub_run *run);

/* Called by ub_enter() after each image. Return: the next one's first byte, or 0 to end. */
unsigned long ub_next_image(struct ub_run *run, unsigned int exit);

/* Where exit stubs jump; not a function. */
extern const char ub_leave[];

#ifdef __cplusplus
}
#endif
#endif
