// SPDX-License-Identifier: GPL-2.0
/* Every case of kunit/cases.inc as a GoogleTest. */
#include <memory>

#include <gtest/gtest.h>

#include "cases.h"
#include "host.h"

namespace {

unsigned long guest_start;

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
	std::unique_ptr<char, void (*)(void *)> scratch(static_cast<char *>(malloc(UB_CASE_SCRATCH_BYTES)), free);
	ub_case test{};

	test.scratch = scratch.get();
	test.record = record;
	test.note = note;
	body(&test);
	ub_case_guest(0, nullptr, 0);
}

} // namespace

extern "C" void ub_case_guest(unsigned long start, const void *bytes, unsigned long count)
{
	host::remove_guest_code(guest_start);
	guest_start = start;
	if (count)
		host::add_guest_code(start, bytes, count);
}

#define CASE(suite, name) TEST(suite, name) { run(ub_case_##suite##_##name); }
#include "cases.inc"
#undef CASE

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	return RUN_ALL_TESTS();
}
