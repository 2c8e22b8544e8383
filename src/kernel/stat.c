// SPDX-License-Identifier: GPL-2.0
/*
 * stat.c - ub.stat: a cgroup's numbers and those of all below it, summed when read.
 *
 * A counter is in one place at a time: in the enabled thread, the live space, or the
 * group they left it to. It moves under ubk_stat_lock, and a reader holds that for
 * the whole sum; so what ub.stat shows never falls but for gauges.
 */
#include <linux/cgroup.h>
#include <linux/hashtable.h>
#include <linux/seq_file.h>

#include "kernel/glue.h"

static LIST_HEAD(spaces);	/* ubk_stat_lock */

struct sum {
	struct cgroup *cgroup;
	unsigned long threads[UB_THREAD_COUNTER_MAX];
	struct ub_space_stat spaces;
};

static void add_threads(unsigned long *to, const unsigned long *count)
{
	unsigned int i;

	for (i = 0; i < UB_THREAD_COUNTER_MAX; i++)
		to[i] += READ_ONCE(count[i]);
}

#define NOTHING(name)
#define ADD_FIELD(name) to->name += stat->name;

static void add_counters(struct ub_space_stat *to, const struct ub_space_stat *stat)
{
	UB_SPACE_COUNTERS(NOTHING, ADD_FIELD)
}

static void add_gauges(struct ub_space_stat *to, const struct ub_space_stat *stat)
{
	UB_SPACE_COUNTERS(ADD_FIELD, NOTHING)
}

#undef ADD_FIELD
#undef NOTHING

void ubk_stat_flush_thread(struct ubk_group *group, struct ub_thread *thread)
{
	lockdep_assert_held(&ubk_stat_lock);
	add_threads(group->threads_gone, thread->count);
	memset(thread->count, 0, sizeof(thread->count));
}

void ubk_stat_add_space(struct ubk_stat_space *entry, struct ubk_group *group, struct ub_space *space,
			struct mm_struct *mm)
{
	entry->group = group;
	entry->space = space;
	entry->mm = mm;
	spin_lock(&ubk_stat_lock);
	group->users++;
	list_add(&entry->node, &spaces);
	spin_unlock(&ubk_stat_lock);
}

void ubk_stat_drop_space(struct ubk_stat_space *entry)
{
	struct ub_space_stat stat;

	spin_lock(&ubk_stat_lock);
	ub_space_stat(entry->space, &stat);
	add_counters(&entry->group->spaces_gone, &stat);
	list_del(&entry->node);
	ubk_group_put_locked(entry->group);
	spin_unlock(&ubk_stat_lock);
}

struct ubk_stat_space *ubk_stat_space_at(loff_t place)
{
	struct ubk_stat_space *entry;

	lockdep_assert_held(&ubk_stat_lock);
	list_for_each_entry(entry, &spaces, node)
		if (!place--)
			return entry;
	return NULL;
}

void ubk_stat_visit_spaces(void (*visit)(struct ubk_stat_space *entry))
{
	struct ubk_stat_space *entry;

	spin_lock(&ubk_stat_lock);
	list_for_each_entry(entry, &spaces, node)
		visit(entry);
	spin_unlock(&ubk_stat_lock);
}

static void visit_group(const struct ubk_group *group, void *argument)
{
	struct sum *sum = argument;

	if (!cgroup_is_descendant(group->cgroup, sum->cgroup))
		return;
	add_threads(sum->threads, group->threads_gone);
	add_counters(&sum->spaces, &group->spaces_gone);
}

static void visit_task(const struct ubk_task *task, void *argument)
{
	struct sum *sum = argument;

	if (cgroup_is_descendant(task->group->cgroup, sum->cgroup))
		add_threads(sum->threads, task->thread.count);
}

static void visit_spaces(struct sum *sum)
{
	struct ubk_stat_space *entry;
	struct ub_space_stat stat;

	list_for_each_entry(entry, &spaces, node) {
		if (!cgroup_is_descendant(entry->group->cgroup, sum->cgroup))
			continue;
		ub_space_stat(entry->space, &stat);
		add_counters(&sum->spaces, &stat);
		add_gauges(&sum->spaces, &stat);
	}
}

int ubk_stat_show(struct seq_file *seq, struct cgroup *cgroup)
{
	struct sum sum = { .cgroup = cgroup };

	spin_lock(&ubk_stat_lock);
	ubk_groups_visit(visit_group, &sum);
	ubk_tasks_visit(visit_task, &sum);
	visit_spaces(&sum);
	spin_unlock(&ubk_stat_lock);

	seq_printf(seq, "enabled %d\n", ubk_cgroup_wanted(cgroup));
#define SHOW_THREAD(name) seq_printf(seq, #name " %lu\n", sum.threads[UB_COUNT_##name]);
	UB_THREAD_COUNTERS(SHOW_THREAD)
#undef SHOW_THREAD
#define EXIT_REASON(name, key)						\
	if (UB_COUNT_exit_##key != UB_COUNT_exit_syscall)		\
		seq_printf(seq, "exit_" #key " %lu\n", sum.threads[UB_COUNT_exit_##key]);
#include "exit_reasons.inc"
#undef EXIT_REASON
#define SHOW_SPACE(name) seq_printf(seq, #name " %lu\n", sum.spaces.name);
	UB_SPACE_COUNTERS(SHOW_SPACE, SHOW_SPACE)
#undef SHOW_SPACE
	return 0;
}
