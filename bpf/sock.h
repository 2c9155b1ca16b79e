/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * tp_btf/inet_sock_set_state: connect and listen in the caller's context; accept in the context of
 * whatever the packet interrupted, so without a process (the reader joins it to the listener).
 */
#include "ring.h"
#include <bpf/bpf_endian.h>

static __always_inline int connected(const struct sock *sk)
{
	struct hb_connected *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(HB_CONNECTED);
		return 0;
	}
	e->head.kind = HB_CONNECTED;
	e->head.flags = 0;
	e->head.size = sizeof(*e);
	e->head.mono_ns = 0; /* of no use here: one call less */
	e->id = (__u64)sk;
	e->src_port = sk->__sk_common.skc_num;
	e->reserved = 0;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, int old_state, int new_state)
{
	__u16 kind;

	/* Most changes are of no interest: leave as early as can be. */
	if (new_state == TCP_ESTABLISHED) {
		if (old_state == TCP_SYN_SENT)
			return connected(sk);
		if (old_state != TCP_SYN_RECV)
			return 0;
		kind = HB_ACCEPT;
	} else if (new_state == TCP_SYN_SENT) {
		kind = HB_CONNECT;
	} else if (new_state == TCP_LISTEN) {
		kind = HB_LISTEN;
	} else {
		return 0;
	}
	struct hb_sock *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(kind);
		return 0;
	}
	__u16 family = sk->__sk_common.skc_family;

	e->head.kind = kind;
	e->head.flags = 0;
	e->head.size = sizeof(*e);
	e->head.mono_ns = bpf_ktime_get_boot_ns();
	e->netns = sk->__sk_common.skc_net.net->ns.inum;
	e->id = (__u64)sk;
	e->family = family;
	e->protocol = sk->sk_protocol;
	e->src_port = sk->__sk_common.skc_num;
	e->dst_port = bpf_ntohs(sk->__sk_common.skc_dport);
	__u32 *src = (__u32 *)e->src, *dst = (__u32 *)e->dst;

	if (family == AF_INET6 && bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		src[0] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		src[1] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		src[2] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		src[3] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		dst[0] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0];
		dst[1] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1];
		dst[2] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2];
		dst[3] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		src[0] = sk->__sk_common.skc_rcv_saddr;
		dst[0] = sk->__sk_common.skc_daddr;
		src[1] = src[2] = src[3] = dst[1] = dst[2] = dst[3] = 0;
	}
	if (kind == HB_ACCEPT) {
		e->start_ns = e->cgroup_id = 0;
		e->pid = e->ppid = e->uid = 0;
		__builtin_memset(e->comm, 0, sizeof(e->comm));
	} else {
		struct task_struct *task = bpf_get_current_task_btf();

		e->start_ns = task->group_leader->start_boottime;
		e->cgroup_id = bpf_get_current_cgroup_id();
		e->pid = task->tgid;
		e->ppid = task->real_parent->tgid;
		e->uid = task->cred->uid.val;
		bpf_get_current_comm(e->comm, sizeof(e->comm));
	}
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}
