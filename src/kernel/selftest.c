// SPDX-License-Identifier: GPL-2.0
/*
 * selftest.c - the verifier's accept and reject tables, run when the module loads.
 *
 * The cases are those of kunit/verify_cases.inc that KUnit and the host run: what the
 * verifier must accept and what it must refuse, with its reason. They tell of a compiler, a
 * kernel's flags or a damaged file that changed what the verifier does, on the machine
 * that is to rely on it. One that fails keeps the module out. The parameter `selftest` says
 * whether they run.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "cases.h"
#include "kernel/glue.h"

static bool selftest = IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_PROVE_LOCKING);
module_param(selftest, bool, 0444);
MODULE_PARM_DESC(selftest, "1 runs the verifier's tables at load, which is refused if one fails (default 1 on kernels with KASAN or lockdep)");

static const struct {
	const char *name;
	void (*body)(struct ub_case *test);
} cases[] = {
#define CASE(suite, title) { #suite "." #title, ub_case_##suite##_##title },
#include "verify_cases.inc"
#undef CASE
};

static void record(struct ub_case *test, const char *file, int line, const char *expression, int compared,
		   unsigned long left, unsigned long right)
{
	const char *name = test->runner;

	if (compared)
		pr_err("self-test %s: %s:%d: %s: %lx and %lx\n", name, file, line, expression, left, right);
	else
		pr_err("self-test %s: %s:%d: %s\n", name, file, line, expression);
}

static void note(struct ub_case *test, const char *text)
{
	pr_err("self-test %s: %s\n", (const char *)test->runner, text);
}

int __init ubk_selftest(void)
{
	struct ub_case test = { .record = record, .note = note };
	unsigned int i;

	if (!selftest)
		return 0;
	test.scratch = vmalloc(UB_CASE_SCRATCH_BYTES);
	if (!test.scratch) {
		pr_err("not loading: no memory for the self-test; selftest=0 leaves it out\n");
		return -ENOMEM;
	}
	for (i = 0; i < ARRAY_SIZE(cases) && !test.failures; i++) {
		test.runner = (void *)cases[i].name;
		cases[i].body(&test);
		cond_resched();
	}
	vfree(test.scratch);
	if (test.failures) {
		pr_err("not loading: the verifier does not do what it should (self-test %s); the module's file is damaged or was built wrongly\n",
		       cases[i - 1].name);
		return -ENOEXEC;
	}
	pr_info("self-test passed: %zu cases\n", ARRAY_SIZE(cases));
	return 0;
}
