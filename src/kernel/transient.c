// SPDX-License-Identifier: GPL-2.0
/*
 * transient.c - the policy for transient execution: which rows of transient.inc hold on this
 * machine, and what follows. Trusted.
 *
 * The module's parameter `transient` names rows that count as if this machine needed them:
 * emulators have none of these CPUs, and tests must see what becomes of each.
 * What every CPU needs is no row: the fence before each image (enter.S), and
 * addresses that are right on mispredicted paths (the verifier).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/sched.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <asm/cpufeature.h>

#include "kernel/compat.h"
#include "kernel/transient.h"

enum action { REFUSE, HISTORY, LOCKS, DECLINE };

static const struct {
	const char *name, *sentence;
	enum action action;
} rows[] = {
#define CPU(name, action, condition, sentence) { #name, sentence, action },
#define THREAD(name, condition, sentence) { #name, sentence, DECLINE },
#include "kernel/transient.inc"
#undef CPU
#undef THREAD
};

/* Bits of rows: named by the parameter; of CPUs, that hold. */
static unsigned long named;
static unsigned long holding;

DEFINE_STATIC_CALL_NULL(ubk_clear_history, void (void));

static int set_named(const char *text, const struct kernel_param *param)
{
	unsigned long bits = 0;

	while (*text) {
		size_t length = strcspn(text, ",\n");
		unsigned int row;

		for (row = 0; row < UBK_TRANSIENT_ROWS; row++)
			if (strlen(rows[row].name) == length && !strncmp(rows[row].name, text, length))
				break;
		if (row == UBK_TRANSIENT_ROWS)
			return -EINVAL;
		bits |= BIT(row);
		text += length;
		text += *text != 0;
	}
	named = bits;
	return 0;
}

/* All that hold, whatever the reason. */
static int get_holding(char *buffer, const struct kernel_param *param)
{
	int used = 0;

	for (unsigned int row = 0; row < UBK_TRANSIENT_ROWS; row++)
		if ((named | holding) & BIT(row))
			used += sprintf(buffer + used, "%s%s", used ? "," : "", rows[row].name);
	return used + sprintf(buffer + used, "\n");
}

static const struct kernel_param_ops row_ops = {
	.set = set_named,
	.get = get_holding,
};
module_param_cb(transient, &row_ops, NULL, 0444);
MODULE_PARM_DESC(transient, "for tests: rows of docs/transient.md that count as if this machine needed them");

void __init ubk_transient_init(void)
{
	holding = named;
#define CPU(name, action, condition, sentence)			\
	if (condition)						\
		holding |= BIT(UBK_TRANSIENT_##name);
#define THREAD(name, condition, sentence)
#include "kernel/transient.inc"
#undef CPU
#undef THREAD

	for (unsigned int row = 0; row < UBK_TRANSIENT_ROWS; row++)
		if (holding & BIT(row))
			pr_info("transient execution: %s: %s\n", rows[row].name, rows[row].sentence);
	if (ubk_transient_holds(UBK_TRANSIENT_history_loop))
		static_call_update(ubk_clear_history, ubk_history_loop);
	else if (ubk_transient_holds(UBK_TRANSIENT_history_fence))
		static_call_update(ubk_clear_history, ubk_history_fence);
}

bool ubk_transient_holds(enum ubk_transient_row row)
{
	return holding & BIT(row);
}

const char *ubk_transient_refusal(void)
{
	for (unsigned int row = 0; row < UBK_TRANSIENT_ROWS; row++)
		if (rows[row].action == REFUSE && ubk_transient_holds(row))
			return rows[row].sentence;
	return NULL;
}

bool ubk_transient_declines(void)
{
#define CPU(name, action, condition, sentence)
#define THREAD(name, condition, sentence)					\
	if ((named & BIT(UBK_TRANSIENT_##name)) || (condition))			\
		return true;
#include "kernel/transient.inc"
#undef CPU
#undef THREAD
	return false;
}
