/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * tp_btf/sched_process_exec: one record per successful execve with the whole argument area.
 */
#include "ring.h"

#define NAME_CAP 256
#define MAX_STEPS 64

struct exec_scratch {
	union {
		struct hb_exec exec;
		struct hb_args args;
	};
	/* Twice the cap: a masked offset is enough for the verifier. */
	char data[2 * HB_PATH_CAP + HB_CHUNK];
	__u64 from;
	__u32 total;
	__u32 used;
	/* Where the walk of the path stands; in memory, so that the verifier need not follow every
	 * combination of values through the loop. */
	__u64 dentry, root, mount;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} scratch SEC(".maps");

#define READ(dst, field) bpf_core_read(&(dst), sizeof(dst), &(field))
#define PATH_MASK (2 * HB_PATH_CAP - 1)

/* The two functions with loops are global: the verifier looks at each once, on its own. */

/* Components of the executable's path, leaf first, up to the root of its mount namespace: what
 * /proc/PID/exe would say, but taken before the process can be gone. Returns bytes, 0 on failure. */
__noinline __u32 walk_path(struct exec_scratch *s)
{
	if (!s)
		return 0;
	for (int step = 0; step < MAX_STEPS; step++) {
		struct dentry *dentry = (void *)s->dentry, *parent;

		if (s->dentry == s->root) {
			struct mount *mount = (void *)s->mount, *above;
			struct dentry *root;

			if (READ(above, mount->mnt_parent))
				return 0;
			if (above == mount)
				return s->used;
			if (READ(dentry, mount->mnt_mountpoint) || READ(root, above->mnt.mnt_root))
				return 0;
			s->dentry = (__u64)dentry;
			s->root = (__u64)root;
			s->mount = (__u64)above;
			continue;
		}
		const unsigned char *name;
		__u32 used = s->used;

		if (used > HB_PATH_CAP - NAME_CAP)
			return 0;
		if (READ(parent, dentry->d_parent) || READ(name, dentry->d_name.name))
			return 0;
		long n = bpf_probe_read_kernel_str(s->data + (used & PATH_MASK), NAME_CAP, name);

		if (n <= 0)
			return 0;
		s->used = used + (__u32)n;
		/* A file inside the kernel (memfd) has a dentry that is its own parent. */
		if (parent == dentry)
			return s->used;
		s->dentry = (__u64)parent;
	}
	return 0;
}

/* The argument area past the first chunk. */
__noinline int more_args(struct exec_scratch *s)
{
	if (!s)
		return 0;
	__u64 from = s->from;
	__u32 total = s->total;

	for (__u32 i = 1; i < HB_MAX_CHUNKS; i++) {
		__u32 done = i * HB_CHUNK;

		if (done >= total)
			return 0;
		__u64 n = total - done;

		if (n > HB_CHUNK)
			n = HB_CHUNK;
		asm volatile("" : "+r"(n));
		if (n > HB_CHUNK)
			return 0;
		__u64 size = sizeof(s->args) + n;
		/* The bytes follow the smaller head directly. */
		char *data = (char *)s + sizeof(s->args);

		s->args.head.kind = HB_ARGS;
		s->args.head.flags = 0;
		s->args.offset = done;
		if (bpf_probe_read_user(data, n, (void *)(from + done))) {
			s->args.head.flags = HB_ARGS_UNREADABLE;
			size = sizeof(s->args);
		}
		s->args.head.size = size;
		if (bpf_ringbuf_output(&ring, s, size, wakeup()))
			count_lost(HB_ARGS);
		if (s->args.head.flags)
			return 0;
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0;
	struct exec_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s)
		return 0;
	struct hb_exec *e = &s->exec;
	struct task_struct *parent = task->real_parent->group_leader;
	const struct cred *cred = task->cred;
	struct mm_struct *mm = task->mm;
	struct vfsmount *vfs = bprm->file->f_path.mnt;
	__u64 area = mm->arg_end - mm->arg_start;
	__u64 path_len, n;
	__u32 flags = 0;

	s->from = mm->arg_start;
	s->total = area > (__u64)HB_MAX_CHUNKS * HB_CHUNK ? HB_MAX_CHUNKS * HB_CHUNK : area;
	s->used = 0;
	s->dentry = (__u64)bprm->file->f_path.dentry;
	s->root = (__u64)vfs->mnt_root;
	s->mount = (__u64)vfs - bpf_core_field_offset(struct mount, mnt);

	e->head.kind = HB_EXEC;
	e->head.mono_ns = bpf_ktime_get_boot_ns();
	e->start_ns = task->start_boottime;
	e->parent_start_ns = parent->start_boottime;
	e->cgroup_id = bpf_get_current_cgroup_id();
	e->pid = task->tgid;
	e->ppid = parent->tgid;
	e->uid = cred->uid.val;
	e->gid = cred->gid.val;
	e->args_total = s->total;
	e->reserved = 0;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	bpf_core_read(e->parent_comm, sizeof(e->parent_comm), &parent->comm);

	path_len = walk_path(s);
	if (!path_len) {
		long got = bpf_probe_read_kernel_str(s->data, HB_PATH_CAP, bprm->filename);

		flags = HB_PATH_IS_FILENAME;
		path_len = got > 0 ? got : 0;
	}
	path_len &= PATH_MASK;
	n = s->total;
	if (n > HB_CHUNK)
		n = HB_CHUNK;
	asm volatile("" : "+r"(n), "+r"(path_len));
	if (n > HB_CHUNK || path_len > PATH_MASK)
		return 0;
	if (n && bpf_probe_read_user(s->data + path_len, n, (void *)s->from)) {
		flags |= HB_ARGS_UNREADABLE;
		n = 0;
	}
	e->path_len = path_len;
	e->args_len = n;
	e->head.flags = flags;
	e->head.size = sizeof(*e) + path_len + n;
	if (bpf_ringbuf_output(&ring, s, sizeof(*e) + path_len + n, wakeup())) {
		count_lost(HB_EXEC);
		return 0;
	}
	if (s->total > HB_CHUNK && n) {
		__u64 start_ns = e->start_ns;
		__u32 pid = e->pid;

		s->args.start_ns = start_ns;
		s->args.pid = pid;
		more_args(s);
	}
	return 0;
}
