/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test cases written once: GoogleTest runs them on the host (tests/host), KUnit in
 * a kernel (kunit/ub_kunit.c). A case is
 *
 *	UB_CASE(suite, name)
 *	{
 *		CHECK(condition);
 *		CHECK_EQ(left, right);
 *	}
 *
 * in a freestanding C++ file kunit/cases_*.cc, with a row CASE(suite, name) in
 * cases.inc. A failed check is recorded with its place and ends the case. Stack
 * frames are a kernel's: large things live in the case's scratch memory.
 *
 * C and C++ read this file; the macros are for C++.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Memory each case has for itself; what is in it at the beginning is left over. */
#define UB_CASE_SCRATCH_BYTES (32ul << 20)

struct ub_case {
	void *scratch;			/* UB_CASE_SCRATCH_BYTES, the runner's */
	unsigned int failures;		/* checks that failed so far */
	/* The runner's: records a failure. `compared` says that left and right hold
	 * the two sides of a CHECK_EQ. */
	void (*record)(struct ub_case *test, const char *file, int line, const char *expression,
		       int compared, unsigned long left, unsigned long right);
	/* The runner's: shows a line in the log, for dumps. */
	void (*note)(struct ub_case *test, const char *text);
	void *runner;
};

/**
 * ub_case_guest - what ubk_guest_read() and ubk_guest_peek() read, of any mm, until the case ends
 * Reads of [start, start + count) give `bytes`, which must stay; all others give nothing.
 * A later call replaces an earlier one. Implemented by the runners.
 */
void ub_case_guest(unsigned long start, const void *bytes, unsigned long count);

#define CASE(suite, name) void ub_case_##suite##_##name(struct ub_case *test);
#include "cases.inc"
#undef CASE

#ifdef __cplusplus
} /* extern "C" */

#include <cstdint>
#include <type_traits>

#include "base/arena.h"

#define UB_CASE(suite, name) \
	extern "C" void ub_case_##suite##_##name([[maybe_unused]] struct ub_case *test)

namespace ub::testing {

/* Both sides of a comparison as 64 bits: integers sign-extended by their own type,
 * enumerators, pointers, UserAddr and KernelAddr. */
template <typename T>
constexpr uint64_t bits(const T &v)
{
	if constexpr (requires { v.value; })
		return uint64_t(v.value);
	else if constexpr (std::is_pointer_v<T>)
		return reinterpret_cast<uintptr_t>(v);
	else if constexpr (std::is_null_pointer_v<T>)
		return 0;
	else
		return static_cast<uint64_t>(v);
}

/* An arena over `bytes` of the scratch memory from `offset` on. */
inline Arena scratch_arena(struct ub_case *test, size_t bytes = UB_CASE_SCRATCH_BYTES, size_t offset = 0)
{
	return Arena(static_cast<char *>(test->scratch) + offset, bytes);
}

} // namespace ub::testing

/* Ends the function around it when the condition does not hold. For functions that
 * return nothing and have the case as `test`; a case calls these with CHECK_CALL. */
#define CHECK(condition)                                                                       \
	do {                                                                                   \
		if (!(condition)) {                                                            \
			test->failures++;                                                      \
			test->record(test, __FILE__, __LINE__, #condition, 0, 0, 0);           \
			return;                                                                \
		}                                                                              \
	} while (0)

#define CHECK_EQ(a, b)                                                                         \
	do {                                                                                   \
		const uint64_t left_ = ub::testing::bits(a), right_ = ub::testing::bits(b);    \
		if (left_ != right_) {                                                         \
			test->failures++;                                                      \
			test->record(test, __FILE__, __LINE__, #a " == " #b, 1, left_, right_); \
			return;                                                                \
		}                                                                              \
	} while (0)

/* Calls a function that checks for the case, and ends the case with it. */
#define CHECK_CALL(call)                                                                       \
	do {                                                                                   \
		const unsigned int before_ = test->failures;                                   \
		call;                                                                          \
		if (test->failures != before_)                                                 \
			return;                                                                \
	} while (0)

#endif /* __cplusplus */
