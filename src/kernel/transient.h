/* SPDX-License-Identifier: GPL-2.0 */
/*
 * transient.h - the policy for transient execution: the table of transient.inc, asked.
 * Trusted.
 */
#pragma once

#include <linux/init.h>
#include <linux/static_call_types.h>
#include <linux/types.h>

enum ubk_transient_row {
#define CPU(name, action, condition, sentence) UBK_TRANSIENT_##name,
#define THREAD(name, condition, sentence) UBK_TRANSIENT_##name,
#include "kernel/transient.inc"
#undef CPU
#undef THREAD
	UBK_TRANSIENT_ROWS
};

/* Finds out which rows hold, says so in the log, and puts in place what images are left by.
 * Before ubk_machine_fill(). */
void ubk_transient_init(void);

/* Whether a row of a CPU holds. */
bool ubk_transient_holds(enum ubk_transient_row row);

/* Why no cgroup may be enabled on this CPU, or NULL. */
const char *ubk_transient_refusal(void);

/* Whether the current thread goes on natively. Context: process context of a user thread. */
bool ubk_transient_declines(void);

/* Called by ub_leave (runtime/enter.S): one of those of history.S, or nothing. */
DECLARE_STATIC_CALL(ubk_clear_history, void (void));
void ubk_history_loop(void);
void ubk_history_fence(void);
