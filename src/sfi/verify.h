/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → emit → VERIFY → publish
 *
 * The proof. Reads an image's bytes at their final address and the contract,
 * nothing else, and accepts or refuses. Only verify() makes a VerifiedImage, and
 * publishing takes nothing else. Trusted.
 */
#pragma once

#include "base/arena.h"
#include "base/result.h"
#include "sfi/contract.h"

namespace ub::sfi {

class VerifiedImage {
public:
	const Image &image() const { return image_; }
	/* Vector or mask registers appear: the runtime must own the FPU while it runs. */
	bool uses_fpu() const { return uses_fpu_; }

private:
	VerifiedImage(const Image &image, bool uses_fpu) : image_(image), uses_fpu_(uses_fpu) {}
	friend Result<VerifiedImage> verify(const Image &, const Contract &, Arena &, struct Refusal *);

	Image image_;
	bool uses_fpu_;
};

/* Where and why an image was refused: for dumps, tests and the log. */
struct Refusal {
	uint32_t offset = 0;
	const char *why = nullptr;	/* a sentence, static storage */
};

/**
 * verify - prove that an image keeps the contract
 * @image: at its final address, no longer writable by anybody
 * @contract: of this machine
 * @arena: scratch memory, linear in the image's size
 * @refusal: filled on kRejected if not null
 *
 * Context: may sleep; bounded and linear in the image's size, never recurses.
 * Return: the image as verified; kRejected; kNoMemory when @arena is too small.
 */
Result<VerifiedImage> verify(const Image &image, const Contract &contract, Arena &arena, Refusal *refusal = nullptr);

} // namespace ub::sfi
