/* SPDX-License-Identifier: GPL-2.0 */
int ub_placeholder;
