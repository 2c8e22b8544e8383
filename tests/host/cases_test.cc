// SPDX-License-Identifier: GPL-2.0
/* Every case of kunit/cases.inc as a GoogleTest. */
#include <memory>

#include <gtest/gtest.h>

#include "cases.h"

namespace {

void record(ub_case *, const char *file, int line, const char *expression, int compared, unsigned long left,
	    unsigned long right)
{
	if (compared)
		ADD_FAILURE_AT(file, line) << expression << ": " << std::hex << left << " and " << right;
	else
		ADD_FAILURE_AT(file, line) << expression;
}

void note(ub_case *, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

void run(void (*body)(ub_case *))
{
	std::unique_ptr<char, void (*)(void *)> scratch(static_cast<char *>(calloc(1, UB_CASE_SCRATCH_BYTES)), free);
	ub_case test{};

	test.scratch = scratch.get();
	test.record = record;
	test.note = note;
	body(&test);
}

} // namespace

#define CASE(suite, name) TEST(suite, name) { run(ub_case_##suite##_##name); }
#include "cases.inc"
#undef CASE

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	return RUN_ALL_TESTS();
}
