/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * The sensor's programs in one object, so that they share one ring. No tracefs, no program on every
 * system call, no header of the running kernel.
 */
#include "exec.h"
#include "exit.h"
#include "sock.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
