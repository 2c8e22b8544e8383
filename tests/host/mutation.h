/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mutants: accepted images with one thing changed, made to be refused. An image is taken
 * apart into instructions with their branch targets and fault entries, changed, and
 * put together again, so a change of length moves what follows and nothing else.
 */
#pragma once

#include <functional>

#include "image_sample.h"

namespace host {

/* What is changed. */
enum class Change : uint8_t {
	kDrop,		/* the instruction becomes nops, or goes */
	kMove,		/* it changes places with the next one */
	kTarget,	/* a branch leads elsewhere */
	kRegister,	/* a bit of ModRM, SIB, REX, VEX, EVEX */
	kOpcode,	/* a bit of it */
	kDisplacement,
	kImmediate,
	kPrefix,	/* one more, or one less */
	kEntry,		/* a fault entry goes, or moves, or leads elsewhere */
	kExits,		/* the exits' table */
	kChanges
};

/* Of what. */
enum class Subject : uint8_t {
	kGuard,		/* and, pdep or btr by the mask, or a load of it */
	kStack,		/* writes the user's stack pointer */
	kAccess,	/* of user memory */
	kSlot,		/* of the frame */
	kBranch,
	kPoll,
	kStub,
	kOther,
	kSubjects
};

extern const char *const kChangeNames[], *const kSubjectNames[];

struct Mutant {
	Change change;
	Subject subject;
	uint32_t offset;	/* where it differs */
	const char *what;
	KeptImage image;
};

/* Calls `take` with mutants of the image: all but those of single bits, values and prefixes, of
 * which there are many; of these so many of a thousand (a multiple for the last two). Return:
 * whether the image was read rightly: put together unchanged it is the same. */
bool mutate(const KeptImage &image, unsigned int thousandth, uint64_t seed, const std::function<void(const Mutant &)> &take);

} // namespace host
