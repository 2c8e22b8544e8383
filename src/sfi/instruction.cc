// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: one instruction, legal by itself or refused. Trusted.
 *
 * Legal is what the rule table allows, in an encoding the machine has, without a prefix
 * that this form does not use, and with the operands of operands.cc.
 */
#include "sfi/decode.h"

namespace ub::sfi {

namespace {

bool starts_with_endbr64(std::span<const uint8_t> bytes)
{
	return bytes.size() >= 4 && bytes[0] == 0xf3 && bytes[1] == 0x0f && bytes[2] == 0x1e && bytes[3] == 0xfa;
}

const char *check_prefixes(const ZydisDecodedInstruction &decoded, Kind kind)
{
	bool seen_lock = false, seen_66 = false, seen_repeat = false, seen_fs = false;
	const auto once = [](bool &seen) {
		const bool first = !seen;
		seen = true;
		return first;
	};

	for (uint8_t i = 0; i < decoded.raw.prefix_count; i++) {
		const auto &prefix = decoded.raw.prefixes[i];
		const bool mandatory = prefix.type == ZYDIS_PREFIX_TYPE_MANDATORY;

		switch (prefix.value) {
		case 0xf0:
			if (!once(seen_lock) || !(decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK))
				return "a lock prefix that locks nothing";
			break;
		case 0x66:
			if (!once(seen_66) || (!mandatory && (decoded.raw.rex.W || kind == Kind::kVector)))
				return "an operand-size prefix without a meaning";
			break;
		case 0xf2:
		case 0xf3:
			if (!once(seen_repeat) || !mandatory)
				return "a repeat or hint prefix";
			break;
		case 0x64:
			if (!once(seen_fs) || !(decoded.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS))
				return "an fs prefix without a meaning";
			break;
		case 0x67:
			return "an address-size prefix";
		default:
			if ((prefix.value & 0xf0) != 0x40)
				return "a segment prefix other than fs";
			if (i + 1 != decoded.raw.prefix_count || !(decoded.attributes & ZYDIS_ATTRIB_HAS_REX))
				return "a REX prefix that is not the last prefix";
		}
	}
	return nullptr;
}

const char *check_encoding(const InstructionReader &reader, Kind kind)
{
	const ZydisDecodedInstruction &decoded = reader.decoded;

	switch (decoded.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
		/* movsd and cmpsd are also names of string instructions. */
		if (kind == Kind::kVector && decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
		    decoded.mnemonic != ZYDIS_MNEMONIC_FNSTCW)
			return "a string instruction that shares its name with a vector instruction";
		return nullptr;
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		/* BMI needs no vector state, and the module needs BMI2. */
		if (decoded.meta.isa_set == ZYDIS_ISA_SET_BMI1 || decoded.meta.isa_set == ZYDIS_ISA_SET_BMI2)
			return nullptr;
		if (kind != Kind::kVector)
			return "a VEX form no CPU of ours has";
		return reader.contract->avx ? nullptr : "a VEX instruction without AVX";
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
		if (kind != Kind::kVector)
			return "an EVEX form no CPU of ours has";
		return reader.contract->avx512 ? nullptr : "an EVEX instruction without AVX-512";
	default:
		return "an encoding that is neither legacy, VEX nor EVEX";
	}
}

/* jmp, jcc and jrcxz with an immediate and no prefix: a 66 would cut the target off on AMD. */
const char *check_branch(const ZydisDecodedInstruction &decoded, const ZydisDecodedOperand &operand, Form &form)
{
	if (decoded.raw.prefix_count != 0)
		return "a branch with a prefix";
	if (operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative)
		return "an indirect or far branch";
	form.instruction.flow = decoded.mnemonic == ZYDIS_MNEMONIC_JMP ? Flow::kJump : Flow::kBranch;
	form.use = Immediate::kTarget;
	return nullptr;
}

/* Of the memory operand, as it counts. */
int64_t displacement_of(const InstructionReader &reader)
{
	for (uint8_t i = 0; i < reader.decoded.operand_count; i++)
		if (reader.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return reader.operands[i].mem.disp.value;
	return 0;
}

/* Where the displacement and the immediate lie, and which bytes the form hangs on. */
void find_fields(const InstructionReader &reader, const uint8_t *bytes, Form &form)
{
	const ZydisDecodedInstruction &decoded = reader.decoded;
	const auto &disp = decoded.raw.disp;
	const auto &imm = decoded.raw.imm[0];
	/* An EVEX displacement of one byte is scaled, a VEX immediate may name a register: both belong to the head. */
	const bool scaled = decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && disp.size == 8;
	const bool names = decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	const uint8_t disp_bytes = scaled ? 0 : disp.size / 8, imm_bytes = names ? 0 : imm.size / 8;
	const uint8_t head_bytes = decoded.length - disp_bytes - imm_bytes;

	if (disp_bytes)
		form.displacement = {.at = disp.offset, .bytes = disp_bytes};
	if (scaled)
		form.displacement = {.value = int32_t(displacement_of(reader))};
	if (imm_bytes)
		form.immediate = {.at = imm.offset, .bytes = imm_bytes, .is_signed = bool(imm.is_signed)};

	/* Head, displacement, immediate, in this order. */
	if (decoded.raw.imm[1].size || head_bytes > sizeof(form.head) ||
	    (disp_bytes && disp.offset != head_bytes) || (imm_bytes && imm.offset != head_bytes + disp_bytes))
		return;
	for (uint8_t i = 0; i < head_bytes; i++) {
		form.head |= uint64_t(bytes[i]) << 8 * i;
		form.head_mask |= uint64_t(0xff) << 8 * i;
	}
}

} // namespace

const char *read_form(InstructionReader &reader, uint32_t offset, Form &form)
{
	const std::span<const uint8_t> bytes = reader.image->bytes;
	ZydisDecodedInstruction &decoded = reader.decoded;
	ZydisDecoderContext context;

	form = Form();
	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&reader.decoder, &context, &bytes[offset], bytes.size() - offset, &decoded)))
		return "not an instruction";

	const Rule &allowed = rule(uint16_t(decoded.mnemonic));
	if (const char *refused = why(allowed))
		return refused;
	if (ZYAN_FAILED(ZydisDecoderDecodeOperands(&reader.decoder, &context, &decoded, reader.operands, decoded.operand_count)))
		return "not an instruction";
	if (const char *refused = check_encoding(reader, allowed.kind))
		return refused;
	if (const char *refused = check_prefixes(decoded, allowed.kind))
		return refused;
	form.instruction.length = decoded.length;
	find_fields(reader, &bytes[offset], form);
	if (allowed.kind == Kind::kBranch)
		if (const char *refused = check_branch(decoded, reader.operands[0], form))
			return refused;

	/* 90, 0f 1f /0: the operand, if any, is never touched. Other hint space is no nop everywhere. */
	if (decoded.mnemonic == ZYDIS_MNEMONIC_NOP) {
		const bool one_byte = decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && decoded.opcode == 0x90;
		const bool long_nop = decoded.opcode_map == ZYDIS_OPCODE_MAP_0F && decoded.opcode == 0x1f && decoded.raw.modrm.reg == 0;
		return one_byte || long_nop ? nullptr : "a reserved nop";
	}

	form.instruction.may_fault = allowed.raises;
	form.instruction.vector = allowed.kind == Kind::kVector;
	if (const char *refused = check_operands(reader, allowed.kind, form))
		return refused;
	find_effect(reader, form);
	return nullptr;
}

const char *read_instruction(InstructionReader &reader, uint32_t offset, Instruction &out)
{
	const Form *form;
	uint32_t number;

	if (offset == 0) {
		out = Instruction{.offset = offset};
		out.length = 4;
		return starts_with_endbr64(reader.image->bytes) ? nullptr : "no endbr64 at the start";
	}
	/* Both idioms have one first byte. */
	const uint8_t first = reader.image->bytes[offset];
	if (first == 0x41 && match_exit(reader, offset, out, number))
		return number < reader.image->exits.size() ? nullptr : "an exit number without an exit";
	if (first == 0x4c && match_poll(reader, offset, out))
		return nullptr;
	if (const char *refused = find_form(reader, offset, form))
		return refused;
	return take_values(reader, *form, offset, out);
}

} // namespace ub::sfi
