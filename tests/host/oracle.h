/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The oracle: another opinion on an image, for what the verifier accepted.
 *
 * It shares nothing with the verifier but the contract's numbers. Capstone decodes, and
 * the image is executed step by step, concretely, by an attacker's luck: registers and
 * whatever memory gives are wild addresses, every conditional branch goes either way (as
 * it may on a mispredicted path), an access that must fault is run past for as long as a CPU
 * may. An escape is anything the contract forbids that is seen on the way:
 *
 *	an access outside of the frame's slots whose low bits are those of a mapped kernel
 *	address; a read of a kernel value; a write of a slot that is only read; a way
 *	out other than an exit stub; an access without a fault entry; an instruction that has
 *	no place in an image; a cycle without a poll
 *
 * It proves nothing where it finds nothing. It is there to tell a harmless mutant from a hole.
 */
#pragma once

#include <map>
#include <memory>
#include <string>

#include <capstone/capstone.h>

#include "guest.h"
#include "sfi/contract.h"

namespace host {

struct OracleInsn;

class Oracle {
public:
	explicit Oracle(const ub::sfi::Contract &contract);
	~Oracle();
	Oracle(const Oracle &) = delete;
	Oracle &operator=(const Oracle &) = delete;

	/* Runs the image `runs` times, by ways that come by the bytes at `offset` if any does.
	 * Return: the escape, a sentence; empty when there was none. */
	std::string judge(const ub::sfi::Image &image, uint32_t offset, unsigned int runs, Random &random);

	/* Whether Capstone knows the instruction. */
	bool reads(std::span<const uint8_t> bytes);

	/* The bytes that Capstone did not know in the last image: then nothing was judged. */
	std::string unreadable;

private:
	struct Run;

	const OracleInsn &decode(std::span<const uint8_t> bytes, uint32_t offset);

	ub::sfi::Contract contract_;
	csh capstone_;
	cs_insn *scratch_;
	std::map<std::pair<uint64_t, uint64_t>, std::unique_ptr<OracleInsn>> known_;
};

} // namespace host
