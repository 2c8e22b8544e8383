// SPDX-License-Identifier: GPL-2.0
/*
 * knob: ub.enable. What it reads, what it takes and refuses, which ancestor
 * decides, who may write it, and that ub.stat says the effective value.
 */
#include "ub_test.h"

static struct cgroup top, middle, leaf;

static const char *value(const struct cgroup *cgroup)
{
	static char text[64];

	if (cgroup_read(cgroup, "ub.enable", text, sizeof(text)))
		return "(no file)";
	return text;
}

static void refused(const char *name, const void *bytes, size_t count)
{
	char path[PATH_MAX], before[64];
	int result;

	snprintf(path, sizeof(path), "%s/ub.enable", top.path);
	strcpy(before, value(&top));
	result = file_write(path, bytes, count);
	ok(result == -EINVAL && !strcmp(value(&top), before), "refuses %s (%d, still %s)", name, result,
	   value(&top));
}

static void refusals(void)
{
	static char endless[8192];

	memset(endless, '1', sizeof(endless));
	refused("an empty line", "\n", 1);
	refused("spaces", "  ", 2);
	refused("\" 1 x\"", " 1 x", 4);
	refused("\"2\"", "2", 1);
	refused("\"-1\"", "-1", 2);
	refused("\"01\"", "01", 2);
	refused("\"1 0\"", "1 0", 3);
	refused("\"inheritx\"", "inheritx", 8);
	refused("\"inheri\"", "inheri", 6);
	refused("\"INHERIT\"", "INHERIT", 7);
	refused("\"yes\"", "yes", 3);
	refused("1, NUL, 0", "1\0000", 3);
	refused("bytes above 127", "\xff\xfe", 2);
	refused("100 digits", endless, 100);
	refused("4000 digits", endless, 4000);
}

static int stat_enabled(const struct cgroup *cgroup)
{
	return cgroup_stat(cgroup, "enabled");
}

static void decides(const char *t, const char *m, const char *l, int et, int em, int el)
{
	int r = cgroup_write(&top, "ub.enable", t) | cgroup_write(&middle, "ub.enable", m) |
		cgroup_write(&leaf, "ub.enable", l);

	ok(!r && stat_enabled(&top) == et && stat_enabled(&middle) == em && stat_enabled(&leaf) == el,
	   "%s / %s / %s: enabled is %d, %d, %d", t, m, l, stat_enabled(&top), stat_enabled(&middle),
	   stat_enabled(&leaf));
}

static void other_user(void)
{
	char path[PATH_MAX];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/ub.enable", top.path);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(file_write(path, "1", 1) == -EACCES ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(child_ok(status), "another user cannot write it");
}

int main(void)
{
	struct cgroup late;

	test_begin();
	if (!ub_present()) {
		skip("ub is not loaded", "the knob");
		return test_end();
	}
	if (cgroup_make(&top, NULL, "knob") || cgroup_make(&middle, &top, "middle") ||
	    cgroup_make(&leaf, &middle, "leaf"))
		broken("making cgroups");

	ok(!strcmp(value(&top), "inherit"), "reads inherit at first");
	ok(stat_enabled(&top) == 0, "nobody says so: off");
	for (int i = 0; i < 2; i++) {
		ok(!cgroup_write(&top, "ub.enable", "1") && !strcmp(value(&top), "1"), "takes 1");
		refusals();
		ok(!cgroup_write(&top, "ub.enable", "0\n") && !strcmp(value(&top), "0"), "takes 0 and a newline");
		ok(!cgroup_write(&top, "ub.enable", "inherit\n") && !strcmp(value(&top), "inherit"),
		   "takes inherit");
	}
	refusals();

	decides("1", "inherit", "inherit", 1, 1, 1);
	decides("1", "0", "inherit", 1, 0, 0);
	decides("1", "0", "1", 1, 0, 1);
	decides("0", "1", "inherit", 0, 1, 1);
	decides("inherit", "1", "0", 0, 1, 0);
	decides("inherit", "inherit", "1", 0, 0, 1);
	decides("inherit", "inherit", "inherit", 0, 0, 0);
	decides("1", "inherit", "inherit", 1, 1, 1);
	ok(!cgroup_make(&late, &leaf, "late") && stat_enabled(&late) == 1, "a new cgroup inherits");
	cgroup_remove(&late);
	other_user();

	cgroup_remove(&leaf);
	cgroup_remove(&middle);
	cgroup_remove(&top);
	return test_end();
}
