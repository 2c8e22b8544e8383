/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Encodings: Intel SDM vol. 2, chapter 2 (legacy and REX: 2.2.1, VEX: 2.3, EVEX: 2.7).
 * Prefixes stay in their order but for a segment override or an address-size prefix
 * beside a new memory operand, which has neither. A VEX prefix is always written in its three
 * byte form when a register is exchanged: the two byte form has no B.
 */
#include "translator/rewrite.h"

namespace ub::translator {

namespace {

class Writer {
public:
	explicit Writer(Encoded &out) : out_(out) {}
	void put(uint8_t b)
	{
		if (n_ <= kMaxInsnBytes)
			out_.bytes[n_] = b;
		n_++;
	}
	void put(const uint8_t *bytes, size_t count)
	{
		for (size_t i = 0; i < count; i++)
			put(bytes[i]);
	}
	void finish() { out_.length = n_ <= kMaxInsnBytes ? uint8_t(n_) : uint8_t(0); }

private:
	Encoded &out_;
	size_t n_ = 0;
};

/* The top bit of a new register number, or the guest's where there is none. */
bool top(Gpr replacement, bool own)
{
	return replacement == kNoGpr ? own : replacement >= 8;
}

uint8_t low_or(Gpr replacement, uint8_t own)
{
	return replacement == kNoGpr ? own : uint8_t(replacement & 7);
}

bool dropped_with_memory(uint8_t prefix)
{
	return prefix == 0x67 || prefix == 0x64 || prefix == 0x65 || prefix == 0x2e || prefix == 0x36 ||
	       prefix == 0x3e || prefix == 0x26;
}

void put_prefixes(const Insn &insn, const Rewrite &r, Writer &w)
{
	for (uint8_t i = 0; i < insn.prefix_end; i++) {
		if (!r.memory.replaces() || !dropped_with_memory(insn.bytes[i]))
			w.put(insn.bytes[i]);
	}
}

void put32(uint32_t value, Writer &w)
{
	for (int i = 0; i < 4; i++)
		w.put(uint8_t(value >> 8 * i));
}

/* ModRM, SIB and displacement. */
void put_operands(const Insn &insn, const Rewrite &r, Writer &w)
{
	const uint8_t own = insn.bytes[insn.modrm_at];
	const uint8_t reg = uint8_t(low_or(r.reg, own >> 3 & 7) << 3);
	const NewMemory &m = r.memory;

	if (!m.replaces()) {
		w.put(uint8_t((own & 0xc0) | reg | low_or(r.rm, own & 7)));
		w.put(insn.bytes + insn.modrm_at + 1, size_t(insn.tail_at - insn.modrm_at - 1));
		return;
	}

	if (m.form == NewMemory::Form::kAbsolute) {
		/* A SIB byte without base and index: rm 5 alone would be rip-relative. */
		w.put(uint8_t(reg | 4));
		w.put(0x25);
		put32(uint32_t(m.disp), w);
		return;
	}

	const uint8_t base = m.base & 7;
	const bool same = m.form == NewMemory::Form::kSame;
	/* EVEX scales a disp8 by the operand's size: a displacement of ours is never short there. */
	const bool fits_disp8 = m.disp >= -128 && m.disp <= 127 && insn.encoding != Encoding::kEvex;
	uint8_t mod;
	if (same)
		mod = insn.disp_bytes == 0 ? 0 : insn.disp_bytes == 1 ? 1 : 2;
	else
		mod = m.disp == 0 && base != 5 ? 0 : fits_disp8 ? 1 : 2;
	w.put(uint8_t(mod << 6 | reg | base));
	if (base == 4)
		w.put(0x24);
	if (same) {
		w.put(insn.bytes + insn.disp_at, insn.disp_bytes);
	} else if (mod == 1) {
		w.put(uint8_t(m.disp));
	} else if (mod == 2) {
		put32(uint32_t(m.disp), w);
	}
}

/* The r/m register's or the base's top bit. */
bool rm_top(const Rewrite &r, bool own)
{
	return r.memory.replaces() ? top(r.memory.base, false) : top(r.rm, own);
}

/* prefixes [REX] opcode [ModRM …] [immediate] */
void encode_legacy(const Insn &insn, const Rewrite &r, Writer &w)
{
	const uint8_t own = insn.has_rex ? insn.bytes[insn.prefix_end] : uint8_t(0);
	const bool b = r.opcode != kNoGpr ? r.opcode >= 8 : rm_top(r, own & 1);
	const bool x = !r.memory.replaces() && (own & 2);
	const uint8_t rex = uint8_t((own & 8) | top(r.reg, own & 4) << 2 | x << 1 | int(b));

	put_prefixes(insn, r, w);
	if (rex || insn.has_rex)
		w.put(uint8_t(0x40 | rex));
	const uint8_t end = insn.modrm_at ? insn.modrm_at : insn.tail_at;
	w.put(insn.bytes + insn.opcode_at, size_t(end - insn.opcode_at - 1));
	const uint8_t last = insn.bytes[end - 1];
	w.put(r.opcode == kNoGpr ? last : uint8_t((last & 0xf8) | (r.opcode & 7)));
}

/* C4 [~R ~X ~B mmmmm] [W ~vvvv L pp] opcode */
void encode_vex(const Insn &insn, const Rewrite &r, Writer &w)
{
	const uint8_t *p = insn.bytes + insn.prefix_end;
	const bool two = p[0] == 0xc5;
	const uint8_t rxb = two ? uint8_t((p[1] & 0x80) | 0x61) : p[1];
	const uint8_t wvlp = two ? uint8_t(p[1] & 0x7f) : p[2];
	const bool not_r = !top(r.reg, !(rxb & 0x80));
	const bool not_x = r.memory.replaces() || (rxb & 0x40);
	const bool not_b = !rm_top(r, !(rxb & 0x20));
	const uint8_t vvvv = r.vvvv == kNoGpr ? uint8_t(wvlp & 0x78) : uint8_t((~r.vvvv & 0xf) << 3);

	put_prefixes(insn, r, w);
	w.put(0xc4);
	w.put(uint8_t(not_r << 7 | not_x << 6 | not_b << 5 | (rxb & 0x1f)));
	w.put(uint8_t((wvlp & 0x87) | vvvv));
	w.put(insn.bytes[insn.opcode_at]);
}

/* 62 [~R ~X ~B ~R' 0 mmm] [W ~vvvv 1 pp] [z L'L b ~V' aaa] opcode */
void encode_evex(const Insn &insn, const Rewrite &r, Writer &w)
{
	const uint8_t *p = insn.bytes + insn.prefix_end;
	const bool not_r = !top(r.reg, !(p[1] & 0x80));
	const bool not_r2 = r.reg != kNoGpr || (p[1] & 0x10);
	/* X is the index's top bit, or of a vector register in r/m its fifth: a new r/m or base has none. */
	const bool not_x = r.memory.replaces() || r.rm != kNoGpr || (p[1] & 0x40);
	const bool not_b = !rm_top(r, !(p[1] & 0x20));
	const uint8_t vvvv = r.vvvv == kNoGpr ? uint8_t(p[2] & 0x78) : uint8_t((~r.vvvv & 0xf) << 3);

	put_prefixes(insn, r, w);
	w.put(0x62);
	w.put(uint8_t(not_r << 7 | not_x << 6 | not_b << 5 | not_r2 << 4 | (p[1] & 0x0f)));
	w.put(uint8_t((p[2] & 0x87) | vvvv));
	w.put(p[3]);
	w.put(insn.bytes[insn.opcode_at]);
}

} // namespace

void Rewrite::set(Field field, Gpr value)
{
	switch (field) {
	case Field::kReg: reg = value; return;
	case Field::kRm: rm = value; return;
	case Field::kVvvv: vvvv = value; return;
	case Field::kOpcode: opcode = value; return;
	}
}

/* 00 … 39: add, or, adc, sbb, and, sub, xor, cmp r/m, reg; 88, 89: mov r/m, reg. Bit 1 is the direction. */
bool turns(const Insn &insn)
{
	const uint8_t opcode = insn.bytes[insn.opcode_at];

	return insn.encoding == Encoding::kLegacy && insn.modrm_at == insn.opcode_at + 1 && !insn.mem.present &&
	       insn.reg_count == 2 && ((opcode & 0xc6) == 0 || (opcode & 0xfe) == 0x88);
}

Insn turned(const Insn &insn)
{
	Insn other = insn;
	const uint8_t modrm = insn.bytes[insn.modrm_at];

	other.bytes[insn.opcode_at] |= 2;
	other.bytes[insn.modrm_at] = uint8_t(0xc0 | (modrm & 7) << 3 | (modrm >> 3 & 7));
	if (insn.has_rex) {
		const uint8_t rex = insn.bytes[insn.prefix_end];
		other.bytes[insn.prefix_end] = uint8_t((rex & 0xfa) | (rex & 1) << 2 | (rex >> 2 & 1));
	}
	for (uint8_t i = 0; i < insn.reg_count; i++)
		other.regs[i].field = insn.regs[i].field == Field::kReg ? Field::kRm : Field::kReg;
	return other;
}

Encoded encode(const Insn &insn, const Rewrite &r)
{
	Encoded out;
	Writer w(out);

	switch (insn.encoding) {
	case Encoding::kLegacy: encode_legacy(insn, r, w); break;
	case Encoding::kVex: encode_vex(insn, r, w); break;
	case Encoding::kEvex: encode_evex(insn, r, w); break;
	}
	if (insn.modrm_at)
		put_operands(insn, r, w);
	w.put(insn.bytes + insn.tail_at, size_t(insn.length - insn.tail_at));
	w.finish();
	return out;
}

} // namespace ub::translator
