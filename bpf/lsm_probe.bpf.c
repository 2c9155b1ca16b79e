/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * Loaded, attached and removed once at start: proves that this kernel takes LSM programs.
 */
#include "kernel_types.h"

SEC("lsm/bprm_check_security")
int BPF_PROG(probe_exec, struct linux_binprm *bprm, int ret)
{
	return ret;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
