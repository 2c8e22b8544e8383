// SPDX-License-Identifier: GPL-2.0
/*
 * cgroup.c - ub.enable and ub.stat in every directory of the cgroup v2 hierarchy,
 * and what cgroups want.
 *
 * A cgroup that was ever written to or had an enabled task has a group: its setting,
 * and the counters of tasks and spaces that are gone. A group holds a reference to
 * its cgroup, which keeps the object but not the directory: when that is removed the
 * group's numbers go to the parent's, so that hierarchical sums never fall, and
 * the setting goes.
 *
 * The files are those of a controller that is on in every cgroup without being asked
 * for: perf_event. But until the first time since boot that somebody writes a
 * cgroup.subtree_control, the kernel gives implicit controllers to the root alone,
 * and the files are in the root alone, too. Every init that uses cgroups does that
 * at boot; on a bare system the log says what to do. (Doing it ourselves would mean to
 * enable a controller that nobody asked for.)
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "kernel/glue.h"
#include "kernel/probes.h"
#include "kernel/symbols.h"
#include "kernel/transient.h"

DEFINE_SPINLOCK(ubk_stat_lock);
static DEFINE_MUTEX(ubk_settings_lock);

static DEFINE_HASHTABLE(groups, 8);	/* ubk_stat_lock to change, RCU to read */
static unsigned int enabled_groups;	/* with setting 1; ubk_settings_lock to change */
static bool leaving;			/* the module is; ubk_stat_lock */

static void collect(struct work_struct *work);
static DECLARE_WORK(collect_work, collect);

bool ubk_cgroups_enabled(void)
{
	return READ_ONCE(enabled_groups);
}

/* RCU read lock or ubk_stat_lock held. */
static struct ubk_group *find_group(struct cgroup *cgroup)
{
	struct ubk_group *group;

	hash_for_each_possible_rcu(groups, group, node, (unsigned long)cgroup,
				   lockdep_is_held(&ubk_stat_lock))
		if (group->cgroup == cgroup)
			return group;
	return NULL;
}

bool ubk_cgroup_wanted(struct cgroup *cgroup)
{
	enum ubk_setting setting = UBK_INHERIT;

	if (!ubk_cgroups_enabled())
		return false;
	rcu_read_lock();
	for (; cgroup && setting == UBK_INHERIT; cgroup = cgroup_parent(cgroup)) {
		struct ubk_group *group = find_group(cgroup);

		if (group)
			setting = READ_ONCE(group->setting);
	}
	rcu_read_unlock();
	return setting == UBK_ON;
}

struct ubk_group *ubk_group_get(struct cgroup *cgroup)
{
	struct ubk_group *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL), *group;

	spin_lock(&ubk_stat_lock);
	group = find_group(cgroup);
	if (!group && fresh) {
		group = fresh;
		fresh = NULL;
		cgroup_get(cgroup);
		group->cgroup = cgroup;
		hash_add_rcu(groups, &group->node, (unsigned long)cgroup);
	}
	if (group)
		group->users++;
	spin_unlock(&ubk_stat_lock);
	kfree(fresh);
	return group;
}

void ubk_groups_visit(void (*visit)(const struct ubk_group *group, void *argument), void *argument)
{
	struct ubk_group *group;
	int bucket;

	lockdep_assert_held(&ubk_stat_lock);
	hash_for_each(groups, bucket, group, node)
		visit(group, argument);
}

static bool is_removed(const struct ubk_group *group)
{
	return !(group->cgroup->self.flags & CSS_ONLINE);
}

void ubk_group_put_locked(struct ubk_group *group)
{
	lockdep_assert_held(&ubk_stat_lock);
	if (!--group->users && is_removed(group) && !leaving)
		schedule_work(&collect_work);
}

static void group_put(struct ubk_group *group)
{
	spin_lock(&ubk_stat_lock);
	ubk_group_put_locked(group);
	spin_unlock(&ubk_stat_lock);
}

/* ubk_settings_lock held. */
static int set_group(struct ubk_group *group, enum ubk_setting setting)
{
	bool was = group->setting == UBK_ON, is = setting == UBK_ON;
	int error;

	if (setting == group->setting)
		return 0;
	if (is && !was) {
		error = ubk_hook_get();
		if (error)
			return error;
	}
	WRITE_ONCE(group->setting, setting);
	WRITE_ONCE(enabled_groups, enabled_groups + is - was);
	/* A task that is forked or moved meanwhile sees the setting or is seen by the walk. */
	smp_mb();
	ubk_tasks_ask(group->cgroup);
	if (was && !is)
		ubk_hook_put();
	return 0;
}

/* Groups of removed cgroups. */

static void free_group(struct ubk_group *group)
{
	struct cgroup *cgroup = group->cgroup;

	kfree_rcu(group, rcu);
	cgroup_put(cgroup);
}

static void merge(struct ubk_group *to, const struct ubk_group *from)
{
	unsigned long *spaces = (unsigned long *)&to->spaces_gone;
	const unsigned long *more = (const unsigned long *)&from->spaces_gone;
	unsigned int i;

	for (i = 0; i < UB_THREAD_COUNTER_MAX; i++)
		to->threads_gone[i] += from->threads_gone[i];
	for (i = 0; i < sizeof(to->spaces_gone) / sizeof(*spaces); i++)
		spaces[i] += more[i];
}

/* A removed cgroup's group that nobody uses; its setting is dropped at once. */
static struct ubk_group *find_removed(void)
{
	struct ubk_group *group;
	int bucket;

	lockdep_assert_held(&ubk_stat_lock);
	hash_for_each(groups, bucket, group, node)
		if (is_removed(group) && (!group->users || group->setting != UBK_INHERIT))
			return group;
	return NULL;
}

static void collect(struct work_struct *work)
{
	struct ubk_group *group, *parent;

	for (;;) {
		mutex_lock(&ubk_settings_lock);
		spin_lock(&ubk_stat_lock);
		group = find_removed();
		spin_unlock(&ubk_stat_lock);
		/* Only this work frees groups. */
		if (group)
			set_group(group, UBK_INHERIT);
		mutex_unlock(&ubk_settings_lock);
		if (!group)
			return;

		parent = ubk_group_get(cgroup_parent(group->cgroup));
		if (!parent)
			return;	/* no memory: next time */
		spin_lock(&ubk_stat_lock);
		if (group->users) {
			group = NULL;
		} else {
			merge(parent, group);
			hash_del_rcu(&group->node);
		}
		ubk_group_put_locked(parent);
		spin_unlock(&ubk_stat_lock);
		if (group)
			free_group(group);
	}
}

/* Under cgroup_mutex and with IRQs off. */
static void on_rmdir(void *data, struct cgroup *cgroup, const char *path)
{
	spin_lock(&ubk_stat_lock);
	if (!leaving)
		schedule_work(&collect_work);
	spin_unlock(&ubk_stat_lock);
}

static struct ubk_probe probes[] = {
	{ "cgroup_rmdir", on_rmdir },
};

/* The probe may still be running, but does nothing. */
static void stop_collecting(void)
{
	ubk_probes_remove(probes, ARRAY_SIZE(probes));
	spin_lock(&ubk_stat_lock);
	leaving = true;
	spin_unlock(&ubk_stat_lock);
	cancel_work_sync(&collect_work);
}

/* The files. */

static const char *const setting_names[] = {
	[UBK_INHERIT] = "inherit",
	[UBK_OFF] = "0",
	[UBK_ON] = "1",
};

static int enable_show(struct seq_file *seq, void *v)
{
	enum ubk_setting setting = UBK_INHERIT;
	struct ubk_group *group;

	rcu_read_lock();
	group = find_group(seq_css(seq)->cgroup);
	if (group)
		setting = READ_ONCE(group->setting);
	rcu_read_unlock();
	seq_printf(seq, "%s\n", setting_names[setting]);
	return 0;
}

/* On this CPU nothing is enabled: says which cgroup, why and what to do. */
static bool refused(struct cgroup *cgroup)
{
	const char *why = ubk_transient_refusal();
	char path[128];

	if (!why)
		return false;
	if (cgroup_path(cgroup, path, sizeof(path)) < 0)
		path[0] = 0;
	pr_err_ratelimited("ub.enable of cgroup %s stays off: on this CPU %s; see docs/transient.md\n", path, why);
	return true;
}

static ssize_t enable_write(struct kernfs_open_file *of, char *buffer, size_t bytes, loff_t offset)
{
	bool whole = strlen(buffer) == bytes;	/* no NUL that hides the rest */
	int setting = match_string(setting_names, ARRAY_SIZE(setting_names), strstrip(buffer));
	struct ubk_group *group;
	int error;

	if (setting < 0 || !whole)
		return -EINVAL;
	if (setting == UBK_ON && refused(of_css(of)->cgroup))
		return -EOPNOTSUPP;
	group = ubk_group_get(of_css(of)->cgroup);
	if (!group)
		return -ENOMEM;
	mutex_lock(&ubk_settings_lock);
	error = set_group(group, setting);
	mutex_unlock(&ubk_settings_lock);
	group_put(group);
	return error ?: bytes;
}

static int stat_show(struct seq_file *seq, void *v)
{
	return ubk_stat_show(seq, seq_css(seq)->cgroup);
}

static struct cftype files[] = {
	{
		.name = "ub.enable",
		.flags = CFTYPE_NO_PREFIX,
		.seq_show = enable_show,
		.write = enable_write,
	},
	{
		.name = "ub.stat",
		.flags = CFTYPE_NO_PREFIX,
		.seq_show = stat_show,
	},
	{ }
};

static struct cgroup_subsys *controller(void)
{
	return (struct cgroup_subsys *)UBK_ADDRESS(perf_event_cgrp_subsys);
}

int __init ubk_cgroup_init(void)
{
	int error = ubk_probes_add(probes, ARRAY_SIZE(probes));

	if (error)
		return error;
	error = UBK_CALL(cgroup_add_dfl_cftypes)(controller(), files);
	if (error) {
		pr_err("not loading: the cgroup files were refused (%d)\n", error);
		stop_collecting();
		return error;
	}
	if (controller()->root != &cgrp_dfl_root)
		pr_notice("ub.enable appears when perf_event is no longer mounted as a cgroup v1 controller\n");
	else if (!(cgrp_dfl_root.cgrp.subtree_ss_mask & BIT(perf_event_cgrp_id)))
		pr_notice("ub.enable is in the root cgroup only, until a controller is enabled below it: echo +pids > /sys/fs/cgroup/cgroup.subtree_control\n");
	return 0;
}

void ubk_cgroup_exit(void)
{
	struct ubk_group *group;
	int bucket;

	/* Returns when no reader or writer is in one of the files. */
	UBK_CALL(cgroup_rm_cftypes)(files);
	stop_collecting();

	/* Tasks are told by ubk_tasks_exit(). Groups come into being still, settings do not. */
	mutex_lock(&ubk_settings_lock);
	rcu_read_lock();
	hash_for_each_rcu(groups, bucket, group, node)
		if (group->setting == UBK_ON)
			WRITE_ONCE(group->setting, UBK_INHERIT);
	rcu_read_unlock();
	while (enabled_groups) {
		WRITE_ONCE(enabled_groups, enabled_groups - 1);
		ubk_hook_put();
	}
	mutex_unlock(&ubk_settings_lock);
}

void ubk_groups_free(void)
{
	struct ubk_group *group;
	struct hlist_node *next;
	int bucket;

	hash_for_each_safe(groups, bucket, next, group, node) {
		hash_del_rcu(&group->node);
		free_group(group);
	}
}
