/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * tp_btf/sched_process_exit: one record when the last thread of a process is gone.
 */
#include "ring.h"

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	/* Two last threads may both see 0 here: the reader keeps the first of (pid, start). */
	if (signal->live.counter != 0 || (task->flags & PF_KTHREAD))
		return 0;
	struct hb_exit *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(HB_EXIT);
		return 0;
	}
	struct task_struct *leader = task->group_leader;

	e->head.kind = HB_EXIT;
	e->head.flags = 0;
	e->head.size = sizeof(*e);
	e->head.mono_ns = bpf_ktime_get_boot_ns();
	e->start_ns = leader->start_boottime;
	e->cgroup_id = bpf_get_current_cgroup_id();
	e->pid = task->tgid;
	e->ppid = task->real_parent->tgid;
	e->uid = task->cred->uid.val;
	e->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
	bpf_core_read(e->comm, sizeof(e->comm), &leader->comm);
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}
