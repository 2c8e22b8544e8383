/* SPDX-License-Identifier: GPL-2.0 */
/* The functions of functions.c: by name, the end has none. */
#pragma once

#include <stdint.h>

#define FUNCTION_BYTES 4096

typedef uint64_t guest_function(uint8_t *bytes, uint64_t count, uint64_t seed);

struct ub_guest_function {
	const char *name;
	guest_function *function;
};

#ifdef __cplusplus
extern "C" {
#endif
/* Compiled for general registers alone, and as usual. */
extern const struct ub_guest_function ub_functions[], ub_vector_functions[];
#ifdef __cplusplus
}
#endif
