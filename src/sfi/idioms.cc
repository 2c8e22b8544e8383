// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: exit stubs and polls, which have fixed bytes and are read as
 * one instruction each. So an image has no other way to leave and none to touch a
 * kernel pointer, and nothing can branch into the middle of either. Trusted.
 */
#include "sfi/decode.h"

namespace ub::sfi {

namespace {

/* Bytes of the image, taken one after the other as long as they are as expected. */
class Bytes {
public:
	Bytes(std::span<const uint8_t> bytes, uint32_t at) : bytes_(bytes), at_(at) {}

	template <size_t n>
	bool take(const uint8_t (&expected)[n])
	{
		if (bytes_.size() - at_ < n)
			return false;
		for (uint8_t byte : expected)
			if (bytes_[at_++] != byte)
				return false;
		return true;
	}

	bool take_u32(uint32_t &value)
	{
		if (bytes_.size() - at_ < 4)
			return false;
		__builtin_memcpy(&value, &bytes_[at_], 4);
		at_ += 4;
		return true;
	}

	uint32_t at() const { return at_; }

private:
	std::span<const uint8_t> bytes_;
	uint32_t at_;
};

} // namespace

/*
 * An exit stub:
 *	41 b9 <n>		mov	r9d, n
 *	e9 <rel32>		jmp	leave
 * Any other jump after such a mov is an ordinary one.
 */
bool match_exit(const InstructionReader &reader, uint32_t offset, Instruction &out, uint32_t &number)
{
	static constexpr uint8_t kMovR9d[] = {0x41, 0xb9};
	static constexpr uint8_t kJmp[] = {0xe9};
	Bytes bytes(reader.image->bytes, offset);
	uint32_t relative;

	if (!bytes.take(kMovR9d) || !bytes.take_u32(number) || !bytes.take(kJmp) || !bytes.take_u32(relative))
		return false;
	if (reader.image->address + bytes.at() + int32_t(relative) != reader.contract->leave)
		return false;
	out = Instruction{.offset = offset};
	out.flow = Flow::kExit;
	out.writes = bit(kR9);
	out.length = uint8_t(bytes.at() - offset);
	return true;
}

/*
 * A poll, where flags are dead:
 *	4c 8b 4c 24 40		mov	r9, [rsp + UB_FRAME_WORK]
 *	41 f7 01 <mask>		test	dword ptr [r9], poll_mask
 *	0f 85 <rel32>		jnz	exit stub
 * and where they are live:
 *	4c 8b 4c 24 40		mov	r9, [rsp + UB_FRAME_WORK]
 *	45 8b 09		mov	r9d, [r9]
 *	48 89 4c 24 18		mov	[rsp + UB_FRAME_SPILL0], rcx
 *	b9 <mask>		mov	ecx, poll_mask
 *	c4 e2 32 f5 c9		pext	ecx, r9d, ecx
 *	e3 0a			jrcxz	1f
 *	48 8b 4c 24 18		mov	rcx, [rsp + UB_FRAME_SPILL0]
 *	e9 <rel32>		jmp	exit stub
 *	48 8b 4c 24 18	1:	mov	rcx, [rsp + UB_FRAME_SPILL0]
 * The kernel's pointer or word that is left in r9 must not be read: verify.cc.
 */
bool match_poll(const InstructionReader &reader, uint32_t offset, Instruction &out)
{
	static constexpr uint8_t kLoadWork[] = {0x4c, 0x8b, 0x4c, 0x24, UB_FRAME_WORK};
	static constexpr uint8_t kTest[] = {0x41, 0xf7, 0x01};
	static constexpr uint8_t kJnz[] = {0x0f, 0x85};
	static constexpr uint8_t kLoadSaveRcxMovEcx[] = {0x45, 0x8b, 0x09, 0x48, 0x89, 0x4c, 0x24, UB_FRAME_SPILL0, 0xb9};
	static constexpr uint8_t kPextJrcxzRestore[] = {0xc4, 0xe2, 0x32, 0xf5, 0xc9, 0xe3, 0x0a,
							0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0, 0xe9};
	static constexpr uint8_t kRestoreRcx[] = {0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0};
	Bytes bytes(reader.image->bytes, offset);
	Instruction poll{.offset = offset};
	uint32_t mask, relative;

	if (!bytes.take(kLoadWork))
		return false;

	Bytes with_flags = bytes;
	if (with_flags.take(kTest) && with_flags.take_u32(mask) && with_flags.take(kJnz) && with_flags.take_u32(relative)) {
		bytes = with_flags;
		poll.target = bytes.at() + relative;
		poll.writes = bit(kR9);
	} else {
		if (!bytes.take(kLoadSaveRcxMovEcx) || !bytes.take_u32(mask) || !bytes.take(kPextJrcxzRestore) ||
		    !bytes.take_u32(relative))
			return false;
		poll.target = bytes.at() + relative;
		if (!bytes.take(kRestoreRcx))
			return false;
		poll.reads = bit(kRcx);
		poll.writes = bit(kR9) | bit(kRcx);
	}
	if (mask != reader.contract->poll_mask)
		return false;
	out = poll;
	out.flow = Flow::kPoll;
	out.length = uint8_t(bytes.at() - offset);
	return true;
}

} // namespace ub::sfi
