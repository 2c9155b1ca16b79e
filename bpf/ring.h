/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * The ring that all programs share, and the count of what did not fit.
 */
#ifndef HAUBERK_RING_H
#define HAUBERK_RING_H

#include "kernel_types.h"
#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* the loader may set another size */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HB_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Bytes pending from which on the reader is woken before its interval is over. */
const volatile __u64 wake_bytes = 2 * 1024 * 1024;

static __always_inline __u64 wakeup(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wake_bytes ? BPF_RB_FORCE_WAKEUP :
									     BPF_RB_NO_WAKEUP;
}

static __always_inline void count_lost(__u32 kind)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &kind);

	if (count)
		(*count)++;
}

#endif
