/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ub_cgroup.h - cgroups, ub.enable and ub.stat, and the module's parameters, as a
 * test sees them. When there is no cgroup2 or the module is not loaded, cgroups
 * are no-ops that succeed and ub_present() is false.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup {
	char path[200];
};

static inline int ub_present(void)
{
	return access("/sys/module/ub", F_OK) == 0;
}

/* Writes a string with one write(2). Return: 0 or a negative errno. */
static inline int file_write(const char *path, const void *bytes, size_t count)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), result = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, bytes, count) < 0)
		result = -errno;
	close(fd);
	return result;
}

/* Reads a small file as a string, the last newline removed. Return: 0 or a negative errno. */
static inline int file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = 0;
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = 0;
	close(fd);
	return 0;
}

/* Writes; Return: 0 or a negative errno. */
static inline int cgroup_write(const struct cgroup *cgroup, const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup->path, file);
	return file_write(path, text, strlen(text));
}

static inline int cgroup_read(const struct cgroup *cgroup, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup->path, file);
	return file_read(path, text, size);
}

/* Makes a cgroup below @parent, or below the root with a name of this process. */
static inline int cgroup_make(struct cgroup *cgroup, const struct cgroup *parent, const char *name)
{
	if (parent)
		snprintf(cgroup->path, sizeof(cgroup->path), "%.150s/%.40s", parent->path, name);
	else
		snprintf(cgroup->path, sizeof(cgroup->path), CGROUP_ROOT "/ubtest.%d.%.40s", getpid(), name);
	if (!ub_present())
		return 0;
	return mkdir(cgroup->path, 0755) && errno != EEXIST ? -errno : 0;
}

/* The last of its tasks may take a moment to go. */
static inline void cgroup_remove(const struct cgroup *cgroup)
{
	int tries;

	if (!ub_present() && access(cgroup->path, F_OK))
		return;
	for (tries = 0; rmdir(cgroup->path) && errno == EBUSY && tries < 1000; tries++)
		usleep(1000);
}

static inline int cgroup_move(const struct cgroup *cgroup, pid_t pid)
{
	char text[24];

	if (!ub_present())
		return 0;
	snprintf(text, sizeof(text), "%d", pid);
	return cgroup_write(cgroup, "cgroup.procs", text);
}

static inline int cgroup_join(const struct cgroup *cgroup)
{
	return cgroup_move(cgroup, 0);
}

/* For programs that a script gives a cgroup. */
static inline int cgroup_join_path(const char *path)
{
	struct cgroup cgroup;

	snprintf(cgroup.path, sizeof(cgroup.path), "%.190s", path);
	return cgroup_join(&cgroup);
}

/* A key of ub.stat, -1 if there is none. */
static inline long cgroup_stat(const struct cgroup *cgroup, const char *key)
{
	char text[8192], *line, *next;
	size_t length = strlen(key);

	if (!ub_present() || cgroup_read(cgroup, "ub.stat", text, sizeof(text)))
		return -1;
	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!strncmp(line, key, length) && line[length] == ' ')
			return strtol(line + length + 1, NULL, 10);
	}
	return -1;
}

#define PARAMETERS "/sys/module/ub/parameters/"

static inline int parameter_write(const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return file_write(path, text, strlen(text));
}

static inline int parameter_read(const char *name, char *text, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return file_read(path, text, size);
}
