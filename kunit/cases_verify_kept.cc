// SPDX-License-Identifier: GPL-2.0
/*
 * Forms that the verifier keeps: an instruction read by the form of one with the same
 * first bytes is what it is when read anew, whatever its displacement and immediate are.
 */
#include "sfi/instruction.h"
#include "alike.h"
#include "verify_rows.h"

namespace {

using namespace ub::testing;
using ub::sfi::Image;
using ub::sfi::Instruction;
using ub::sfi::InstructionReader;

void check_second(struct ub_case *test, const uint8_t *bytes)
{
	const Image image = {kCode, {bytes, kBytes}, {}, {}};
	const ub::sfi::Contract contract = contract_of(Machine::kFull);
	ub::Arena memory = scratch_arena(test);
	InstructionReader *keeps = ub::sfi::start_reading(image, contract, memory);
	InstructionReader *anew = ub::sfi::start_reading(image, contract, memory);
	CHECK(keeps && anew);

	Instruction first, second, again;
	(void)ub::sfi::read_instruction(*keeps, kFirst, first);
	const char *why = ub::sfi::read_instruction(*keeps, kSecond, second);
	CHECK_EQ(why, ub::sfi::read_instruction(*anew, kSecond, again));
	CHECK(why || second == again);
}

} // namespace

UB_CASE(verify_kept, forms_serve_again)
{
	CHECK_CALL(for_each_pair(test, check_second));
}
