/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DECODE → flow → accept: what the verifier keeps of one instruction of an image.
 *
 * read_instruction() decodes the bytes at an offset and refuses every form that is
 * illegal wherever it stands; what depends on other instructions (the values in
 * registers, branch targets, fault entries) is left to verify.cc, as fields.
 *
 * Two idioms are read as one instruction each, so nothing can branch into them:
 * an exit stub and a poll. Their bytes are fixed, see idioms.cc.
 */
#pragma once

#include <cstdint>

#include <Zydis/Decoder.h>

#include "base/arena.h"
#include "sfi/contract.h"

namespace ub::sfi {

/* Numbers of the general registers, as encoded. */
enum Register : uint8_t {
	kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi,
	kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15,
	kRegisters, kNoRegister = kRegisters,
};

/* Every access is taken to be so wide, whatever the decoder says: a zmm register. */
inline constexpr int64_t kWidestAccess = 64;

/* Where control goes after an instruction. */
enum class Flow : uint8_t {
	kNext,
	kBranch,	/* on, or to `target` */
	kJump,		/* to `target` */
	kPoll,		/* on, or to `target`, which must be an exit stub */
	kExit,		/* to the runtime: `mov r9d, n; jmp leave` */
};

/* What becomes of `to`; all other registers written become unknown. */
enum class Effect : uint8_t {
	kNone,
	kAddress,	/* to is in the user half: a constant, or 32 bits zero-extended */
	kMask,		/* to is the address mask */
	kMasked,	/* to is in the user half if `from` is the mask */
	kMove,		/* to is from + displacement */
};

struct Instruction {
	uint32_t offset = 0;
	uint32_t target = 0;		/* an offset in the image */
	uint32_t block = 0;		/* verify.cc's: 1 + the block that begins here, or 0 */
	int32_t displacement = 0;	/* of a kMove, or of the access through `base` */
	uint16_t reads = 0;		/* sets of Register */
	uint16_t writes = 0;
	uint8_t length = 0;
	Flow flow = Flow::kNext;
	Effect effect = Effect::kNone;
	uint8_t to = kNoRegister;
	uint8_t from = kNoRegister;
	uint8_t base = kNoRegister;	/* of a user access whose address is proven by data flow */
	bool anchors = false;		/* that access is always made in full: no prefetch, no lane mask */
	bool may_fault = false;		/* may raise an exception: needs a fault entry */
	bool vector = false;

	bool operator==(const Instruction &) const = default;
};

struct Form;

/* What reading takes; lives in the verifier's arena. */
struct InstructionReader {
	const Image *image;
	const Contract *contract;
	ZydisDecoder decoder;
	ZydisDecodedInstruction decoded;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	/* Forms seen, and their places by a hash of the first bytes: forms.cc. */
	Form *forms;
	uint16_t *places;
	uint16_t form_count, most_forms;
	bool forms_borrowed;
};

/* Null when there is no memory, or no decoder, for it. */
InstructionReader *start_reading(const Image &image, const Contract &contract, Arena &arena);

/* A form is a fact of the machine, not of an image: the forms of images read before serve
 * `reader` too, until they are given back, unless they are in use. */
void borrow_forms(InstructionReader &reader);
void give_back_forms(InstructionReader &reader);

/* Reads the instruction at `offset` into `out`. Return: null, or why it is refused. */
const char *read_instruction(InstructionReader &reader, uint32_t offset, Instruction &out);

} // namespace ub::sfi
