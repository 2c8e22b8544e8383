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
		if (kind == Kind::kVector && decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
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
const char *check_branch(const ZydisDecodedInstruction &decoded, const ZydisDecodedOperand &operand, uint32_t offset,
			 Instruction &out)
{
	if (decoded.raw.prefix_count != 0)
		return "a branch with a prefix";
	if (operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative)
		return "an indirect or far branch";
	out.flow = decoded.mnemonic == ZYDIS_MNEMONIC_JMP ? Flow::kJump : Flow::kBranch;
	/* Wraps, past the image's end, for a target below its start. */
	out.target = offset + decoded.length + uint32_t(operand.imm.value.s);
	return nullptr;
}

} // namespace

bool start_reading(InstructionReader &reader, const Image &image, const Contract &contract)
{
	reader.image = &image;
	reader.contract = &contract;
	return ZYAN_SUCCESS(ZydisDecoderInit(&reader.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

const char *read_instruction(InstructionReader &reader, uint32_t offset, Instruction &out)
{
	const std::span<const uint8_t> bytes = reader.image->bytes;
	ZydisDecodedInstruction &decoded = reader.decoded;
	ZydisDecoderContext context;
	uint32_t number;

	out = Instruction{.offset = offset};
	if (offset == 0) {
		out.length = 4;
		return starts_with_endbr64(bytes) ? nullptr : "no endbr64 at the start";
	}
	if (match_exit(reader, offset, out, number))
		return number < reader.image->exits.size() ? nullptr : "an exit number without an exit";
	if (match_poll(reader, offset, out))
		return nullptr;

	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&reader.decoder, &context, &bytes[offset], bytes.size() - offset, &decoded)))
		return "not an instruction";
	out.length = decoded.length;

	const Rule &allowed = rule(uint16_t(decoded.mnemonic));
	if (const char *refused = why(allowed))
		return refused;
	if (ZYAN_FAILED(ZydisDecoderDecodeOperands(&reader.decoder, &context, &decoded, reader.operands, decoded.operand_count)))
		return "not an instruction";
	if (const char *refused = check_encoding(reader, allowed.kind))
		return refused;
	if (const char *refused = check_prefixes(decoded, allowed.kind))
		return refused;
	if (allowed.kind == Kind::kBranch)
		if (const char *refused = check_branch(decoded, reader.operands[0], offset, out))
			return refused;

	/* 90, 0f 1f /0: the operand, if any, is never touched. Other hint space is no nop everywhere. */
	if (decoded.mnemonic == ZYDIS_MNEMONIC_NOP) {
		const bool one_byte = decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && decoded.opcode == 0x90;
		const bool long_nop = decoded.opcode_map == ZYDIS_OPCODE_MAP_0F && decoded.opcode == 0x1f && decoded.raw.modrm.reg == 0;
		return one_byte || long_nop ? nullptr : "a reserved nop";
	}

	out.may_fault = allowed.raises;
	out.vector = allowed.kind == Kind::kVector;
	if (const char *refused = check_operands(reader, allowed.kind, out))
		return refused;
	find_effect(reader, out);
	return nullptr;
}

} // namespace ub::sfi
