/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of read_instruction(), each with a file of its own: idioms.cc, operands.cc,
 * effects.cc. What refuses returns null or the reason.
 */
#pragma once

#include "sfi/instruction.h"
#include "sfi/rules.h"

namespace ub::sfi {

constexpr uint16_t bit(uint8_t r)
{
	return uint16_t(1u << r);
}

/* The general register a part of which is named; kNoRegister for any other register. */
uint8_t general(ZydisRegister name);

/* The image's bytes at `offset` begin with an exit stub, to the exit `number`. */
bool match_exit(const InstructionReader &reader, uint32_t offset, Instruction &out, uint32_t &number);

/* The image's bytes at `offset` begin with a poll of this contract's work flags. */
bool match_poll(const InstructionReader &reader, uint32_t offset, Instruction &out);

/* Every operand of the instruction decoded is one an image may have; notes in `out` what
 * registers it reads and writes, and the access. */
const char *check_operands(const InstructionReader &reader, Kind kind, Instruction &out);

/* Notes the result of the few instructions whose result is more than unknown. */
void find_effect(const InstructionReader &reader, Instruction &out);

} // namespace ub::sfi
