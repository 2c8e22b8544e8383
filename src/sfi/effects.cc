// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: the few instructions that make a register hold an address, a
 * moved address, or the mask. All others leave what they write unknown. Trusted.
 */
#include "sfi/decode.h"

namespace ub::sfi {

namespace {

bool is_register(const ZydisDecodedOperand &operand, uint16_t bits)
{
	return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.size == bits && general(operand.reg.value) != kNoRegister;
}

bool is_immediate(const ZydisDecodedOperand &operand)
{
	return operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

void set_effect(Instruction &out, Effect effect, uint8_t from = kNoRegister)
{
	out.effect = effect;
	out.from = from;
}

} // namespace

void find_effect(const InstructionReader &reader, Form &form)
{
	const ZydisDecodedOperand *operand = reader.operands;
	Instruction &out = form.instruction;

	if (reader.decoded.operand_count_visible < 1 || operand[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	out.to = general(operand[0].reg.value);
	if (out.to == kNoRegister)
		return;
	const bool to64 = is_register(operand[0], 64), to32 = is_register(operand[0], 32);

	switch (reader.decoded.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		if (to32)
			set_effect(out, Effect::kAddress);
		else if (to64 && is_immediate(operand[1]))
			form.use = Immediate::kConstant;
		else if (to64 && is_register(operand[1], 64))
			set_effect(out, Effect::kMove, general(operand[1].reg.value));
		else if (to64)
			form.loads_slot = form.access == Access::kSlot;
		return;
	case ZYDIS_MNEMONIC_MOVZX:
		if (to64 || to32)
			set_effect(out, Effect::kAddress);
		return;
	case ZYDIS_MNEMONIC_LEA:
		if (to32)
			set_effect(out, Effect::kAddress);
		else if (to64 && operand[1].mem.base != ZYDIS_REGISTER_NONE && operand[1].mem.index == ZYDIS_REGISTER_NONE)
			set_effect(out, Effect::kMove, general(operand[1].mem.base));
		return;
	case ZYDIS_MNEMONIC_ADD:
		if (to64 && is_immediate(operand[1]))
			form.use = Immediate::kAdded;
		return;
	case ZYDIS_MNEMONIC_SUB:
		if (to64 && is_immediate(operand[1]))
			form.use = Immediate::kSubtracted;
		return;
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
		if (to64) {
			form.use = Immediate::kAdded;
			form.immediate.value = reader.decoded.mnemonic == ZYDIS_MNEMONIC_INC ? 1 : -1;
		}
		return;
	case ZYDIS_MNEMONIC_AND:
		if (to64 && is_register(operand[1], 64))
			set_effect(out, Effect::kMasked, general(operand[1].reg.value));
		return;
	case ZYDIS_MNEMONIC_PDEP:
		if (to64 && is_register(operand[2], 64))
			set_effect(out, Effect::kMasked, general(operand[2].reg.value));
		return;
	case ZYDIS_MNEMONIC_BTR:
		if (to64 && is_immediate(operand[1]))
			form.use = Immediate::kBit;
		return;
	default:
		return;
	}
}

} // namespace ub::sfi
