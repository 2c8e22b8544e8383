/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Encodings of the assembler's instructions (Intel SDM vol. 2) and its labels. A
 * backward branch takes the short form where it reaches at once, a forward one when all is linked.
 */
#include "translator/assembler.h"

namespace ub::translator {

namespace {

constexpr bool fits8(int64_t v) { return v >= -128 && v <= 127; }
constexpr bool fits32(int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; }
constexpr uint8_t low(Gpr r) { return r & 7; }
constexpr bool high(Gpr r) { return r != kNoGpr && r >= 8; }

constexpr uint8_t rex(bool w, bool r, bool x, bool b)
{
	return uint8_t(0x40 | w << 3 | r << 2 | x << 1 | int(b));
}

constexpr uint8_t scale_bits(uint8_t scale)
{
	return uint8_t(scale == 8 ? 0xc0 : scale == 4 ? 0x80 : scale == 2 ? 0x40 : 0);
}

} // namespace

Assembler::Assembler(Arena &arena, KernelAddr base, uint32_t capacity, uint32_t labels)
	: bytes_(arena.raw<uint8_t>(capacity)), capacity_(bytes_ ? capacity : 0), base_(base),
	  labels_(arena, labels), bound_(arena, labels), fixups_(arena, labels), moves_(arena, labels)
{
}

void Assembler::put(uint8_t byte)
{
	if (size_ == capacity_) {
		overflow_ = true;
		return;
	}
	bytes_[size_++] = byte;
}

void Assembler::raw(const uint8_t *bytes, size_t count)
{
	if (capacity_ - size_ < count) {
		overflow_ = true;
		return;
	}
	for (size_t i = 0; i < count; i++)
		bytes_[size_ + i] = bytes[i];
	size_ += uint32_t(count);
}

void Assembler::put32(uint32_t value)
{
	uint8_t bytes[sizeof(value)];

	__builtin_memcpy(bytes, &value, sizeof(value));
	raw(bytes, sizeof(bytes));
}

void Assembler::put64(uint64_t value)
{
	put32(uint32_t(value));
	put32(uint32_t(value >> 32));
}

Label Assembler::label()
{
	if (!labels_.push_back(kUnbound))
		overflow_ = true;
	return {uint32_t(labels_.size() - 1)};
}

void Assembler::bind(Label label)
{
	if (label.id >= labels_.size())
		return;
	labels_[label.id] = size_;
	bound_.push_back(label.id);
}

void Assembler::fix(Label to, Reach reach)
{
	constexpr uint8_t empty[4] = {};
	const Fixup fixup{size_, to.id, reach};

	if (!fixups_.push_back(fixup))
		overflow_ = true;
	raw(empty, fixup.end() - fixup.at);
}

bool Assembler::in_short_reach(const Fixup &f) const
{
	const uint32_t to = place_of({f.label});

	return f.reach == Reach::kShrinks && to != kUnbound && fits8(int64_t(to) - f.end());
}

/* Takes 3 bytes out of jmp, 4 out of jcc. Nothing gets farther away by that, so one pass over the
 * places as they were is right for all. */
void Assembler::shrink()
{
	uint32_t from = 0, by = 0;
	const auto move_down = [&](uint32_t to) {
		__builtin_memmove(bytes_ + from - by, bytes_ + from, to - from);
		from = to;
	};

	for (Fixup &f : fixups_) {
		const uint32_t end = f.end();
		if (!in_short_reach(f)) {
			f.at -= by;
			continue;
		}
		/* e9 <rel32> → eb <rel8>; 0f 8x <rel32> → 7x <rel8> */
		const uint8_t opcode = bytes_[f.at - 1];
		const bool jumps = opcode == 0xe9;
		const uint32_t start = f.at - (jumps ? 1 : 2);
		move_down(start);
		bytes_[start - by] = jumps ? 0xeb : uint8_t(opcode - 0x10);
		f = {start - by + 1, f.label, Reach::kByte};
		by += jumps ? 3 : 4;
		from = end;
		moves_.push_back({end, by});
	}
	move_down(size_);
	size_ -= by;
	uint32_t move = 0;
	for (uint32_t id : bound_)
		labels_[id] = moved(labels_[id], move);
}

uint32_t Assembler::moved(uint32_t offset, uint32_t &move) const
{
	while (move < moves_.size() && moves_[move].from <= offset)
		move++;
	return move ? offset - moves_[move - 1].by : offset;
}

void Assembler::link(KernelAddr leave)
{
	if (overflow_)
		return;
	shrink();
	for (const Fixup &f : fixups_) {
		const uint32_t to = place_of({f.label}), bytes = f.end() - f.at;
		const int64_t distance = f.reach == Reach::kLeave ? leave - (base_ + int64_t(f.end())) : int64_t(to) - f.end();
		if ((f.reach != Reach::kLeave && to == kUnbound) || !(bytes == 1 ? fits8(distance) : fits32(distance))) {
			overflow_ = true;
			return;
		}
		for (uint8_t i = 0; i < bytes; i++)
			bytes_[f.at + i] = uint8_t(distance >> 8 * i);
	}
}

void Assembler::modrm_base(Gpr reg, Gpr base, int32_t disp)
{
	/* rsp and r12 need a SIB byte, rbp and r13 a displacement. */
	const bool sib = low(base) == 4;
	const uint8_t mod = disp == 0 && low(base) != 5 ? 0 : fits8(disp) ? 1 : 2;

	put(uint8_t(mod << 6 | low(reg) << 3 | low(base)));
	if (sib)
		put(0x24);
	if (mod == 1)
		put(uint8_t(disp));
	if (mod == 2)
		put32(uint32_t(disp));
}

void Assembler::memory(bool wide, uint8_t opcode, Gpr reg, Gpr base, int32_t disp)
{
	const uint8_t prefix = rex(wide, high(reg), false, high(base));

	if (prefix != 0x40)
		put(prefix);
	put(opcode);
	modrm_base(reg, base, disp);
}

void Assembler::registers(bool wide, uint8_t opcode, Gpr reg, Gpr rm)
{
	const uint8_t prefix = rex(wide, high(reg), false, high(rm));

	if (prefix != 0x40)
		put(prefix);
	put(opcode);
	put(uint8_t(0xc0 | low(reg) << 3 | low(rm)));
}

void Assembler::endbr64()
{
	constexpr uint8_t bytes[] = {0xf3, 0x0f, 0x1e, 0xfa};
	raw(bytes, sizeof(bytes));
}

void Assembler::mov(Gpr to, Gpr from) { registers(true, 0x89, from, to); }
void Assembler::mov32(Gpr to, Gpr from) { registers(false, 0x89, from, to); }
void Assembler::load(Gpr to, Gpr base, int32_t disp) { memory(true, 0x8b, to, base, disp); }
void Assembler::load32(Gpr to, Gpr base, int32_t disp) { memory(false, 0x8b, to, base, disp); }
void Assembler::store(Gpr base, int32_t disp, Gpr from) { memory(true, 0x89, from, base, disp); }
void Assembler::and_(Gpr to, Gpr from) { registers(true, 0x21, from, to); }
void Assembler::add_slot(Gpr to, int32_t slot) { memory(true, 0x03, to, kFrame, slot); }

/* `opcode` is that of the wide form. Byte registers but al to bl need a REX, which r8 to r15 have. */
void Assembler::memory_part(uint8_t bytes, uint8_t opcode, Gpr reg, Gpr base, int32_t disp)
{
	if (bytes == 2)
		put(0x66);
	memory(bytes == 8, bytes == 1 ? uint8_t(opcode - 1) : opcode, reg, base, disp);
}

void Assembler::load_part(uint8_t bytes, Gpr to, Gpr base, int32_t disp) { memory_part(bytes, 0x8b, to, base, disp); }
void Assembler::store_part(uint8_t bytes, Gpr base, int32_t disp, Gpr from) { memory_part(bytes, 0x89, from, base, disp); }
void Assembler::compare_part(uint8_t bytes, Gpr reg, Gpr base, int32_t disp) { memory_part(bytes, 0x3b, reg, base, disp); }

/* VEX.LZ.F2.0F3A.W1 F0 */
void Assembler::rorx(Gpr to, Gpr from, uint8_t count)
{
	put(0xc4);
	put(uint8_t((high(to) ? 0 : 0x80) | 0x40 | (high(from) ? 0 : 0x20) | 0x03));
	put(0xfb);
	put(0xf0);
	put(uint8_t(0xc0 | low(to) << 3 | low(from)));
	put(count);
}

void Assembler::not_(Gpr r) { registers(true, 0xf7, 2, r); }

void Assembler::load_zero(uint8_t bytes, Gpr to, Gpr base, int32_t disp)
{
	if (bytes >= 4) {
		load_part(bytes, to, base, disp);
		return;
	}
	put(rex(false, high(to), false, high(base)));
	put(0x0f);
	put(bytes == 1 ? 0xb6 : 0xb7);
	modrm_base(to, base, disp);
}

/* 0F B6 or 0F B7 */
void Assembler::movzx(Gpr to, Gpr from, uint8_t bytes)
{
	put(rex(false, high(to), false, high(from)));
	put(0x0f);
	put(bytes == 1 ? 0xb6 : 0xb7);
	put(uint8_t(0xc0 | low(to) << 3 | low(from)));
}

void Assembler::store_imm(Gpr base, int32_t disp, int32_t value)
{
	memory(true, 0xc7, 0, base, disp);
	put32(uint32_t(value));
}

/* mov r32, imm32 zero-extends; mov r64, imm32 sign-extends; else mov r64, imm64. */
void Assembler::mov_imm(Gpr to, uint64_t value)
{
	if (value <= UINT32_MAX) {
		if (high(to))
			put(rex(false, false, false, true));
		put(uint8_t(0xb8 | low(to)));
		put32(uint32_t(value));
	} else if (fits32(int64_t(value))) {
		registers(true, 0xc7, 0, to);
		put32(uint32_t(value));
	} else {
		put(rex(true, false, false, high(to)));
		put(uint8_t(0xb8 | low(to)));
		put64(value);
	}
}

void Assembler::any_lea(bool wide, Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp)
{
	if (index == kNoGpr && base != kNoGpr) {
		memory(wide, 0x8d, to, base, disp);
		return;
	}

	const uint8_t prefix = rex(wide, high(to), high(index), high(base));
	if (prefix != 0x40)
		put(prefix);
	put(0x8d);
	const uint8_t sib_index = index == kNoGpr ? uint8_t(4) : low(index);
	if (base == kNoGpr) {
		/* [index*scale + disp32] */
		put(uint8_t(low(to) << 3 | 4));
		put(uint8_t(scale_bits(scale) | sib_index << 3 | 5));
		put32(uint32_t(disp));
		return;
	}
	const uint8_t mod = disp == 0 && low(base) != 5 ? 0 : fits8(disp) ? 1 : 2;
	put(uint8_t(mod << 6 | low(to) << 3 | 4));
	put(uint8_t(scale_bits(scale) | sib_index << 3 | low(base)));
	if (mod == 1)
		put(uint8_t(disp));
	if (mod == 2)
		put32(uint32_t(disp));
}

void Assembler::lea(Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp)
{
	any_lea(true, to, base, index, scale, disp);
}

void Assembler::lea32(Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp)
{
	any_lea(false, to, base, index, scale, disp);
}

/* mov r64, [disp32]: a SIB byte without base and index, as rm 5 alone is rip-relative. */
void Assembler::load_absolute(Gpr to, int32_t address)
{
	put(rex(true, high(to), false, false));
	put(0x8b);
	put(uint8_t(low(to) << 3 | 4));
	put(0x25);
	put32(uint32_t(address));
}

void Assembler::load_fs(Gpr to, int32_t disp)
{
	put(0x64);
	load_absolute(to, disp);
}

/* VEX.LZ.pp.0F38 */
void Assembler::vex_bmi(uint8_t pp, bool wide, uint8_t opcode, Gpr reg, Gpr vvvv, Gpr rm)
{
	put(0xc4);
	put(uint8_t((high(reg) ? 0 : 0x80) | 0x40 | (high(rm) ? 0 : 0x20) | 0x02));
	put(uint8_t(int(wide) << 7 | (~vvvv & 0xf) << 3 | pp));
	put(opcode);
	put(uint8_t(0xc0 | low(reg) << 3 | low(rm)));
}

void Assembler::pdep(Gpr to, Gpr from, Gpr mask) { vex_bmi(3, true, 0xf5, to, from, mask); }
void Assembler::pext32(Gpr to, Gpr from, Gpr mask) { vex_bmi(2, false, 0xf5, to, from, mask); }
void Assembler::shrx(Gpr to, Gpr from, Gpr count) { vex_bmi(3, true, 0xf7, to, count, from); }
void Assembler::shlx(Gpr to, Gpr from, Gpr count) { vex_bmi(1, true, 0xf7, to, count, from); }

void Assembler::shr_imm(Gpr to, uint8_t count)
{
	registers(true, 0xc1, 5, to);
	put(count);
}

void Assembler::test_imm32(Gpr base, int32_t disp, uint32_t value)
{
	memory(false, 0xf7, Gpr(0), base, disp);
	put32(value);
}

void Assembler::branch(Label to, uint8_t short_opcode, uint8_t near_opcode, bool near_escape)
{
	const int64_t distance = int64_t(place_of(to)) - (int64_t(size_) + 2);

	if (bound(to) && fits8(distance)) {
		put(short_opcode);
		fix(to, Reach::kByte);
		return;
	}
	if (near_escape)
		put(0x0f);
	put(near_opcode);
	fix(to, Reach::kShrinks);
}

void Assembler::jmp(Label to) { branch(to, 0xeb, 0xe9, false); }
void Assembler::jcc(uint8_t condition, Label to)
{
	branch(to, uint8_t(0x70 | condition), uint8_t(0x80 | condition), true);
}

void Assembler::jrcxz(Label to)
{
	put(0xe3);
	fix(to, Reach::kByte);
}

void Assembler::jmp_near(Label to)
{
	put(0xe9);
	fix(to, Reach::kNear);
}

void Assembler::jcc_near(uint8_t condition, Label to)
{
	put(0x0f);
	put(uint8_t(0x80 | condition));
	fix(to, Reach::kNear);
}

void Assembler::exit_stub(uint32_t number)
{
	/* 41 b9 <number>	mov	r9d, number
	 * e9 <rel32>		jmp	leave */
	mov_imm(kScratch, number);
	put(0xe9);
	fix({}, Reach::kLeave);
}

} // namespace ub::translator
