/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of read_instruction(), each with a file of its own: idioms.cc, operands.cc,
 * effects.cc, forms.cc. What refuses returns null or the reason.
 *
 * An instruction is read in two steps. Its form is what all encodings have in common that
 * differ in displacement and immediate only: that is Zydis' work and most of the rules. Then
 * the two values are taken from the bytes, and what depends on them is checked. Since
 * the first step is dear, forms are kept for the instructions that follow.
 */
#pragma once

#include "sfi/instruction.h"
#include "sfi/rules.h"

namespace ub::sfi {

constexpr uint16_t bit(uint8_t r)
{
	return uint16_t(1u << r);
}

/* The memory an instruction accesses, by what its displacement has to be. */
enum class Access : uint8_t {
	kNone,
	kSlot,		/* [rsp + d] */
	kFs,		/* fs:[d] */
	kAbsolute,	/* [d] */
	kRegister,	/* [base + d] */
};

/* What becomes of an immediate. */
enum class Immediate : uint8_t {
	kUnused,	/* nothing that matters here */
	kTarget,	/* the distance of a branch */
	kConstant,	/* `to` holds it */
	kAdded,		/* to `to` */
	kSubtracted,	/* from `to` */
	kBit,		/* the bit that is cleared in `to` */
};

/* A displacement or an immediate: some bytes of the instruction, or a value with its form. */
struct Field {
	int32_t value = 0;
	uint8_t at = 0;
	uint8_t bytes = 0;	/* 0: `value` it is */
	bool is_signed = true;
};

struct Form {
	/* The bytes before displacement and immediate, as a little-endian number, if all with
	 * these are of this form; else `head_mask` is 0. */
	uint64_t head = 0, head_mask = 0;
	Instruction instruction;	/* offset, target and displacement are 0 */
	Field displacement, immediate;
	Access access = Access::kNone;
	Immediate use = Immediate::kUnused;
	bool writes_slot = false;
	bool loads_slot = false;	/* into all 64 bits of `to` */
	uint8_t access_bytes = 0;
};

/* The general register a part of which is named; kNoRegister for any other register. */
uint8_t general(ZydisRegister name);

/* The image's bytes at `offset` begin with an exit stub, to the exit `number`. */
bool match_exit(const InstructionReader &reader, uint32_t offset, Instruction &out, uint32_t &number);

/* The image's bytes at `offset` begin with a poll of this contract's work flags. */
bool match_poll(const InstructionReader &reader, uint32_t offset, Instruction &out);

/* Every operand of the instruction decoded is one an image may have; notes in `form` what
 * registers it reads and writes, and the access. */
const char *check_operands(const InstructionReader &reader, Kind kind, Form &form);

/* Notes the result of the few instructions whose result is more than unknown. */
void find_effect(const InstructionReader &reader, Form &form);

/* The form of the instruction at `offset`, kept or from Zydis. */
const char *find_form(InstructionReader &reader, uint32_t offset, const Form *&form);

/* The instruction at `offset`, of that form: its values are legal. */
const char *take_values(const InstructionReader &reader, const Form &form, uint32_t offset, Instruction &out);

/* From Zydis' records to a form: instruction.cc. */
const char *read_form(InstructionReader &reader, uint32_t offset, Form &form);

} // namespace ub::sfi
