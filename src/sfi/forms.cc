// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: an image's instructions by their forms. A form is made once from
 * Zydis' records, and found again by the bytes before displacement and immediate, in full.
 * The two values are then always taken from the instruction's own bytes. Trusted.
 */
#include "sfi/decode.h"

namespace ub::sfi {

namespace {

constexpr uint32_t kMaxForms = 3000;	/* all of a program has 1600 */
constexpr uint32_t kFewForms = 1000;	/* an image has 100 to 800 */
constexpr uint32_t kPlaces = 8192;	/* a power of 2 */
static_assert(kMaxForms < kPlaces && sizeof(Form) == 72);

/* Forms that outlive the image they were found in: one verification at a time uses them,
 * others use their arena's. Empty when the module is loaded. */
struct {
	alignas(Form) uint8_t forms[(kMaxForms + 1) * sizeof(Form)];
	uint16_t places[kPlaces];
	uint16_t count;
	bool taken;
} constinit g_kept = {};
constinit Contract g_kept_contract = {};	/* the forms are of this machine */

/* Does a ModRM byte follow the opcode? Only for where to look first. */
bool has_modrm(bool map_0f, uint8_t opcode)
{
	if (map_0f)
		return (opcode & 0xf0) != 0x80 && (opcode & 0xf8) != 0xc8;
	return (opcode & 0xc6) != 0x04 && (opcode & 0xf0) != 0x50 && (opcode & 0xf0) != 0x70 && (opcode & 0xf0) != 0x90 &&
	       (opcode & 0xf0) != 0xb0 && (opcode & 0xfc) != 0xa8 && (opcode & 0xfc) != 0xe8;
}

/* By prefixes, opcode and ModRM. */
uint32_t first_place(uint64_t bytes)
{
	const auto at = [&](unsigned int i) { return uint8_t(bytes >> 8 * i); };
	unsigned int i = 0;

	while (at(i) == 0x66 || at(i) == 0xf2 || at(i) == 0xf3 || at(i) == 0x64)
		if (++i == 4)
			return 0;
	i += (at(i) & 0xf0) == 0x40;
	const bool map_0f = at(i) == 0x0f;
	i += map_0f;
	const unsigned int count = i + 1 + has_modrm(map_0f, at(i));
	return uint32_t((bytes << (64 - 8 * count)) * 0x9e3779b97f4a7c15 >> 51) % kPlaces;
}

template <typename T>
int64_t load(const uint8_t *bytes)
{
	T value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return int64_t(value);
}

int64_t value_of(const Field &field, const uint8_t *instruction)
{
	if (!field.bytes)
		return field.value;

	const uint8_t *bytes = instruction + field.at;
	switch (field.bytes) {
	case 1:
		return field.is_signed ? load<int8_t>(bytes) : load<uint8_t>(bytes);
	case 2:
		return field.is_signed ? load<int16_t>(bytes) : load<uint16_t>(bytes);
	case 4:
		return field.is_signed ? load<int32_t>(bytes) : load<uint32_t>(bytes);
	default:
		return load<int64_t>(bytes);
	}
}

/* [rsp + d]: the registers' slots and spills, the mask and the fs base; within one slot. */
const char *check_slot(int64_t at, const Form &form)
{
	if (at < 0 || at >= UB_FRAME_SIZE || at % 8 + form.access_bytes > 8)
		return "a frame access outside one slot";

	switch (at - at % 8) {
	case UB_FRAME_R9:
	case UB_FRAME_R10:
	case UB_FRAME_R11:
	case UB_FRAME_SPILL0:
	case UB_FRAME_SPILL1:
	case UB_FRAME_TARGET:
		return nullptr;
	case UB_FRAME_FSBASE:
	case UB_FRAME_MASK:
		return form.writes_slot ? "a write to a frame slot that is only read" : nullptr;
	default:
		return "a kernel pointer's frame slot outside of a poll";
	}
}

const char *take_displacement(int64_t displacement, const Form &form, Instruction &out)
{
	switch (form.access) {
	case Access::kNone:
		break;
	case Access::kSlot:
		if (form.loads_slot && displacement == UB_FRAME_MASK)
			out.effect = Effect::kMask;
		return check_slot(displacement, form);
	case Access::kFs:
		/* The base is checked at entry, so within the holes around the user half. */
		if (displacement < -kHoleBelow + kWidestAccess || displacement > kHoleAbove - kWidestAccess)
			return "an fs displacement outside the holes around the user half";
		return nullptr;
	case Access::kAbsolute:
		if (displacement < 0x10000 || displacement > kHoleAbove - kWidestAccess)
			return "an absolute address outside [64 KiB, 2 GiB)";
		return nullptr;
	case Access::kRegister:
		break;
	}
	/* Of the access, or of a lea. */
	if (displacement != int32_t(displacement))
		return "a displacement of more than 32 bits";
	out.displacement = int32_t(displacement);
	return nullptr;
}

void take_move(int64_t by, Instruction &out)
{
	if (by != int32_t(by))
		return;
	out.effect = Effect::kMove;
	out.from = out.to;
	out.displacement = int32_t(by);
}

void take_immediate(int64_t value, const Form &form, const Contract &contract, Instruction &out)
{
	switch (form.use) {
	case Immediate::kUnused:
		return;
	case Immediate::kTarget:
		/* Wraps, past the image's end, for a target below its start. */
		out.target = out.offset + out.length + uint32_t(value);
		return;
	case Immediate::kConstant:
		if (uint64_t(value) == ~(uint64_t(1) << contract.mask_bit))
			out.effect = Effect::kMask;
		else if (UserAddr(uint64_t(value)).in_user_half())
			out.effect = Effect::kAddress;
		return;
	case Immediate::kAdded:
		take_move(value, out);
		return;
	case Immediate::kSubtracted:
		take_move(-value, out);
		return;
	case Immediate::kBit:
		if (value == contract.mask_bit)
			out.effect = Effect::kAddress;
		return;
	}
}

} // namespace

InstructionReader *start_reading(const Image &image, const Contract &contract, Arena &arena)
{
	auto *reader = arena.make<InstructionReader>();
	auto *forms = arena.raw<Form>(kFewForms + 1);	/* the last one for a form that is not kept */
	auto *places = arena.make<uint16_t>(kPlaces);

	if (arena.exhausted() ||
	    ZYAN_FAILED(ZydisDecoderInit(&reader->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return nullptr;
	reader->image = &image;
	reader->contract = &contract;
	reader->forms = forms;
	reader->places = places;
	reader->most_forms = kFewForms;
	return reader;
}

void borrow_forms(InstructionReader &reader)
{
	if (__atomic_exchange_n(&g_kept.taken, true, __ATOMIC_ACQUIRE))
		return;
	if (g_kept.count > kMaxForms / 4 * 3 || g_kept_contract != *reader.contract) {
		g_kept.count = 0;
		g_kept_contract = *reader.contract;
		__builtin_memset(g_kept.places, 0, sizeof(g_kept.places));
	}
	reader.forms = reinterpret_cast<Form *>(g_kept.forms);
	reader.places = g_kept.places;
	reader.form_count = g_kept.count;
	reader.most_forms = kMaxForms;
	reader.forms_borrowed = true;
}

void give_back_forms(InstructionReader &reader)
{
	if (!reader.forms_borrowed)
		return;
	reader.forms_borrowed = false;
	g_kept.count = reader.form_count;
	__atomic_store_n(&g_kept.taken, false, __ATOMIC_RELEASE);
}

const char *find_form(InstructionReader &reader, uint32_t offset, const Form *&form)
{
	const std::span<const uint8_t> bytes = reader.image->bytes.subspan(offset);
	Form &made = reader.forms[reader.form_count];
	uint32_t place = 0;

	const bool whole = bytes.size() >= sizeof(uint64_t);
	if (whole) {
		const uint64_t head = uint64_t(load<int64_t>(bytes.data()));
		for (place = first_place(head); reader.places[place]; place = (place + 1) % kPlaces) {
			const Form &kept = reader.forms[reader.places[place] - 1];
			if ((head & kept.head_mask) == kept.head && kept.instruction.length <= bytes.size()) {
				form = &kept;
				return nullptr;
			}
		}
	}

	form = &made;
	if (const char *refused = read_form(reader, offset, made))
		return refused;
	if (whole && made.head_mask && reader.form_count < reader.most_forms)
		reader.places[place] = ++reader.form_count;
	return nullptr;
}

const char *take_values(const InstructionReader &reader, const Form &form, uint32_t offset, Instruction &out)
{
	const uint8_t *bytes = &reader.image->bytes[offset];

	out = form.instruction;
	out.offset = offset;
	if (const char *refused = take_displacement(value_of(form.displacement, bytes), form, out))
		return refused;
	take_immediate(value_of(form.immediate, bytes), form, *reader.contract, out);
	return nullptr;
}

} // namespace ub::sfi
