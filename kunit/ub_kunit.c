// SPDX-License-Identifier: GPL-2.0
/*
 * The cases of cases.inc as a KUnit suite: one KUnit case each, named suite.name.
 * On the host tests/host/cases_test.cc does the same for GoogleTest.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "cases.h"

/* One for all cases; they run one after the other. */
static void *scratch;

static void record(struct ub_case *test, const char *file, int line, const char *expression, int compared,
		   unsigned long left, unsigned long right)
{
	struct kunit *kunit = test->runner;

	if (compared)
		KUNIT_FAIL(kunit, "%s:%d: %s: %lx and %lx", file, line, expression, left, right);
	else
		KUNIT_FAIL(kunit, "%s:%d: %s", file, line, expression);
}

static void note(struct ub_case *test, const char *text)
{
	kunit_info((struct kunit *)test->runner, "%s", text);
}

static void run(struct kunit *kunit, void (*body)(struct ub_case *test))
{
	struct ub_case test = {
		.scratch = scratch,
		.record = record,
		.note = note,
		.runner = kunit,
	};

	KUNIT_ASSERT_NOT_NULL(kunit, scratch);
	body(&test);
	ub_case_guest(0, NULL, 0);
}

#define CASE(suite, name)						\
	static void run_##suite##_##name(struct kunit *kunit)		\
	{								\
		run(kunit, ub_case_##suite##_##name);			\
	}
#include "cases.inc"
#undef CASE

static struct kunit_case cases[] = {
#define CASE(group, title) { .run_case = run_##group##_##title, .name = #group "." #title },
#include "cases.inc"
#undef CASE
	{}
};

static int suite_init(struct kunit_suite *suite)
{
	scratch = vmalloc(UB_CASE_SCRATCH_BYTES);
	return scratch ? 0 : -ENOMEM;
}

static void suite_exit(struct kunit_suite *suite)
{
	vfree(scratch);
	scratch = NULL;
}

static struct kunit_suite ub_suite = {
	.name = "ub",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};
kunit_test_suites(&ub_suite);

MODULE_DESCRIPTION("Test cases of the core of ub");
MODULE_LICENSE("GPL");
