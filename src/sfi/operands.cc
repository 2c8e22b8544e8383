// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: the operands an instruction may have. Trusted.
 *
 * General registers but rsp; vector and mask registers; immediates; and at most one
 * memory operand, explicit, of which there are
 *	[rsp + d]	a frame slot, by an integer instruction
 *	fs:[d]		the base is checked at entry
 *	[d]
 *	[reg + d]	reg is left to the data flow
 * whose displacements are forms.cc's; none indexed, rip-relative or of another segment. Nothing else names a register or
 * memory, also not implicitly.
 */
#include "sfi/decode.h"

namespace ub::sfi {

static_assert(ZYDIS_REGISTER_R15 - ZYDIS_REGISTER_RAX == kR15 && ZYDIS_REGISTER_RSP - ZYDIS_REGISTER_RAX == kRsp);

uint8_t general(ZydisRegister name)
{
	const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);

	if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
		return kNoRegister;
	return uint8_t(whole - ZYDIS_REGISTER_RAX);
}

namespace {

const char *check_register(const InstructionReader &reader, const ZydisDecodedOperand &operand, Kind kind, Instruction &out)
{
	const bool read = operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	const bool write = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	switch (ZydisRegisterGetClass(operand.reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: {
		const uint8_t r = general(operand.reg.value);

		if (r == kNoRegister || r == kRsp)
			return "the physical stack pointer as an operand";
		/* What is not written as a whole shows in the result. */
		if (read || operand.actions != ZYDIS_OPERAND_ACTION_WRITE || operand.size < 32)
			out.reads |= bit(r);
		if (write)
			out.writes |= bit(r);
		return nullptr;
	}
	case ZYDIS_REGCLASS_MASK:
		if (!reader.contract->avx512)
			return "a mask register without AVX-512";
		[[fallthrough]];
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return kind == Kind::kVector ? nullptr : "a vector register in an integer instruction";
	case ZYDIS_REGCLASS_FLAGS:
		return nullptr;
	case ZYDIS_REGCLASS_IP:
		return kind == Kind::kBranch ? nullptr : "the instruction pointer as an operand";
	default:
		/* Of the vector state. A value that it cannot hold raises #GP. fnstcw leaves bits of x87's status undefined. */
		if (kind == Kind::kVector &&
		    (operand.reg.value == ZYDIS_REGISTER_MXCSR || operand.reg.value == ZYDIS_REGISTER_X87STATUS))
			return nullptr;
		return "a register that is not the program's own: segment, control, debug, x87, MMX";
	}
}

const char *check_memory(const ZydisDecodedOperand &operand, const ZydisDecodedInstruction &decoded, Kind kind, Form &form)
{
	const auto &memory = operand.mem;
	Instruction &out = form.instruction;

	if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
		return "an implicit memory operand";
	if (memory.base == ZYDIS_REGISTER_RIP || memory.base == ZYDIS_REGISTER_EIP)
		return "a rip-relative operand";

	if (memory.type == ZYDIS_MEMOP_TYPE_AGEN) {
		if (decoded.mnemonic != ZYDIS_MNEMONIC_LEA || (decoded.attributes & ZYDIS_ATTRIB_HAS_SEGMENT))
			return "an address computed by other than a plain lea";
		for (ZydisRegister name : {memory.base, memory.index}) {
			if (name == ZYDIS_REGISTER_NONE)
				continue;
			const uint8_t r = general(name);
			if (r == kNoRegister || r == kRsp)
				return "the physical stack pointer as an operand";
			out.reads |= bit(r);
		}
		return nullptr;
	}

	if (memory.type != ZYDIS_MEMOP_TYPE_MEM)
		return "a memory operand with lanes";
	if (memory.index != ZYDIS_REGISTER_NONE)
		return "an index register in a memory access";

	if (memory.segment == ZYDIS_REGISTER_FS) {
		if (memory.base != ZYDIS_REGISTER_NONE)
			return "an fs access with a base register";
		form.access = Access::kFs;
		out.may_fault = true;
		return nullptr;
	}
	if (memory.segment != ZYDIS_REGISTER_DS && memory.segment != ZYDIS_REGISTER_SS)
		return "a segment other than fs";

	if (memory.base == ZYDIS_REGISTER_RSP) {
		if (kind != Kind::kInteger)
			return "a frame slot accessed by other than an integer instruction";
		form.access = Access::kSlot;
		form.access_bytes = operand.size / 8;
		form.writes_slot = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		return nullptr;
	}

	out.may_fault = true;
	if (memory.base == ZYDIS_REGISTER_NONE) {
		form.access = Access::kAbsolute;
		return nullptr;
	}
	if (ZydisRegisterGetClass(memory.base) != ZYDIS_REGCLASS_GPR64)
		return "a base register that is not 64 bits";
	form.access = Access::kRegister;
	out.base = general(memory.base);
	out.reads |= bit(out.base);
	out.anchors = always_accesses(uint16_t(decoded.mnemonic));
	return nullptr;
}

} // namespace

const char *check_operands(const InstructionReader &reader, Kind kind, Form &form)
{
	const ZydisDecodedInstruction &decoded = reader.decoded;
	Instruction &out = form.instruction;
	bool memory = false;

	for (uint8_t i = 0; i < decoded.operand_count; i++) {
		const ZydisDecodedOperand &operand = reader.operands[i];
		const char *refused = nullptr;

		switch (operand.type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			refused = check_register(reader, operand, kind, out);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			refused = memory ? "two memory operands" : check_memory(operand, decoded, kind, form);
			memory = true;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			break;
		default:
			refused = "a far pointer";
		}
		if (refused)
			return refused;
	}

	const bool locked = (decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK) || (decoded.mnemonic == ZYDIS_MNEMONIC_XCHG && memory);
	if (locked && !reader.contract->locked_accesses)
		return "a locked access on a machine where a split lock is fatal";

	switch (decoded.mnemonic) {
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		/* Of a zero they leave the result as it was. */
		out.reads |= out.writes;
		return nullptr;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTS:
		/* The register's high bits would move the address. */
		if (memory && reader.operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return "a bit string in memory";
		return nullptr;
	default:
		return nullptr;
	}
}

} // namespace ub::sfi
