// SPDX-License-Identifier: GPL-2.0
/*
 * pressure.c - memory is wanted: of the arena, which is full, or of the whole machine.
 *
 * Every space is asked to give back what it did not use since it was asked last. So what is idle is
 * gone when it was asked twice, and what all use stays with who has it: a thread without a
 * translation runs natively. Asking takes a lock for each site, and is done once a second at most.
 *
 * The kernel's shrinkers do not wait for it: their scan asks, and ends.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/workqueue.h>

#include "kernel/compat.h"
#include "kernel/glue.h"

static struct shrinker *shrinker;
static atomic_long_t objects;		/* allocated by the core */

static void trim_all(struct work_struct *work)
{
	ubk_stat_visit_spaces(ubk_mm_trim);
}

static DECLARE_DELAYED_WORK(trim_work, trim_all);

/* A request while one waits is the same request. */
void ubk_request_trim(void)
{
	queue_delayed_work(ubk_workqueue, &trim_work, HZ);
}

void ubk_pressure_count(long more)
{
	atomic_long_add(more, &objects);
}

static unsigned long count_objects(struct shrinker *unused, struct shrink_control *control)
{
	return atomic_long_read(&objects);
}

static unsigned long scan_objects(struct shrinker *unused, struct shrink_control *control)
{
	ubk_request_trim();
	return SHRINK_STOP;
}

int ubk_pressure_init(void)
{
	shrinker = ubk_shrinker_add("ub", count_objects, scan_objects);
	return shrinker ? 0 : -ENOMEM;
}

void ubk_pressure_exit(void)
{
	ubk_shrinker_remove(shrinker);
	cancel_delayed_work_sync(&trim_work);
}
