// SPDX-License-Identifier: GPL-2.0
/*
 * params.c - the module's parameters, in /sys/module/ub/parameters and at load:
 * the profiler's and the chain's settings, each with its range, and the off switch.
 * A value out of range or not a number is refused with -EINVAL and changes nothing.
 */
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "kernel/glue.h"

struct bounds {
	unsigned int *field;
	unsigned int lowest, highest;
};

static int set_bounded(const char *text, const struct kernel_param *param)
{
	const struct bounds *bounds = param->arg;
	unsigned int value;
	int error = kstrtouint(text, 0, &value);

	if (error)
		return -EINVAL;
	if (value < bounds->lowest || value > bounds->highest)
		return -EINVAL;
	WRITE_ONCE(*bounds->field, value);
	return 0;
}

static int get_bounded(char *buffer, const struct kernel_param *param)
{
	const struct bounds *bounds = param->arg;

	return sprintf(buffer, "%u\n", READ_ONCE(*bounds->field));
}

static const struct kernel_param_ops range_ops = {
	.set = set_bounded,
	.get = get_bounded,
};

#define SETTING(field, value, lowest, highest, description)				\
	static_assert((value) >= (lowest) && (value) <= (highest));			\
	static const struct bounds field##_bounds = { &ub_settings.field, lowest, highest };	\
	module_param_cb(field, &range_ops, (void *)&field##_bounds, 0644);		\
	MODULE_PARM_DESC(field, description " (" #lowest " to " #highest ", default " #value ")");
#include "settings.inc"
#undef SETTING

bool ubk_enabled = true;

static int set_enabled(const char *text, const struct kernel_param *param)
{
	/* Off and on, in turns. */
	static const char *const names[] = { "0", "1", "N", "Y", "n", "y" };
	int value = text ? __sysfs_match_string(names, ARRAY_SIZE(names), text) : -EINVAL;

	if (value < 0)
		return -EINVAL;
	value &= 1;
	WRITE_ONCE(ubk_enabled, value);
	if (!value)
		ubk_tasks_poke();
	return 0;
}

static const struct kernel_param_ops enabled_ops = {
	.set = set_enabled,
	.get = param_get_bool,
};
module_param_cb(enabled, &enabled_ops, &ubk_enabled, 0644);
MODULE_PARM_DESC(enabled, "0 ends all chains at once and starts none, whatever cgroups say (default 1)");
