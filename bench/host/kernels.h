/* SPDX-License-Identifier: GPL-2.0 */
/* Kernels: pieces of real work, each a function that does the same however often it is called. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct ub_kernel {
	const char *name;
	void (*set_up)(void);			/* once, natively; may be null */
	unsigned long (*run)(void);		/* some 50 to 500 µs of work; the result is the same each time */
};

/* Ends with one without a name. */
extern const struct ub_kernel ub_kernels[];

#ifdef __cplusplus
}
#endif
