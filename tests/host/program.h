/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random guest programs: functions that call each other, bounded loops, switches
 * through tables, function pointers, returns to where nobody called from, in between
 * random instruction instances. Every program ends, at a syscall or an exception.
 */
#pragma once

#include <functional>

#include "code.h"
#include "guest.h"

namespace host {

struct Instance;

/* Of instances for which `wanted` is true; without it of all. */
Code random_program(const Guest &guest, Random &random, const std::function<bool(const Instance &)> &wanted = {});

} // namespace host
