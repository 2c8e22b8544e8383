/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shrinking: of a case that fails, the least that still does. Instructions become nops while
 * native and translated runs differ, nops go, registers become zero; what is left is
 * a block for a golden file (golden_test.cc), with the state that shows the difference in its
 * comments. Which difference it is may change on the way: the first one found is not always the cause.
 */
#pragma once

#include <optional>
#include <string>

#include "differential.h"

namespace host {

/* Guest code in front of guest.code(), run and learned from as Differential::learn_and_compare() does. */
struct FailingCase {
	std::vector<uint8_t> code;
	State state;
	uint64_t seed = 0;
	unsigned int rounds = 1;
};

struct Shrunk {
	FailingCase least;
	unsigned int instructions = 0;
	std::string why;	/* the difference */
	std::string block;	/* for a golden file */
};

/* Nothing when the case does not fail. The guest's code, and what differential tallied, are as before. */
std::optional<Shrunk> shrink(Guest &guest, Differential &differential, FailingCase failing);

/* The case the guest has code for, shrunk: what a test's message ends with. */
std::string shrunk_block(Guest &guest, Differential &differential, const State &state, uint64_t seed, unsigned int rounds);

} // namespace host
