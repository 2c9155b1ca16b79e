/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 *
 * Records that the kernel programs put into the ring, read by src/hauberk/sensor/records.py.
 * Every field is naturally aligned and little or no padding is left: the sizes and offsets are
 * checked against the Python side by tests/unit/sensor/test_records.py.
 */
#ifndef HAUBERK_ABI_H
#define HAUBERK_ABI_H

#ifdef HB_USER
#include <stdint.h>
typedef uint8_t hb_u8;
typedef uint16_t hb_u16;
typedef uint32_t hb_u32;
typedef uint64_t hb_u64;
#else
typedef __u8 hb_u8;
typedef __u16 hb_u16;
typedef __u32 hb_u32;
typedef __u64 hb_u64;
#endif

#define HB_ABI_VERSION 2

enum hb_kind {
	HB_EXEC = 1,
	HB_ARGS = 2,
	HB_EXIT = 3,
	HB_CONNECT = 4,
	HB_LISTEN = 5,
	HB_ACCEPT = 6,
	HB_CONNECTED = 7,
	HB_KINDS = 8,
};

enum hb_flag {
	HB_ARGS_UNREADABLE = 1, /* a page of the argument area could not be read */
	HB_PATH_IS_FILENAME = 2, /* path is what was given to execve, not the file's own path */
};

#define HB_COMM 16
#define HB_PATH_CAP 4096
#define HB_CHUNK 16384
/* The kernel accepts at most 6 MiB of arguments and environment. */
#define HB_MAX_CHUNKS 384

struct hb_head {
	hb_u16 kind;
	hb_u16 flags;
	hb_u32 size; /* bytes of the whole record, this head included */
	hb_u64 mono_ns; /* CLOCK_BOOTTIME */
};

/* Followed by path_len bytes of path and args_len bytes of the argument area. A path consists of
 * NUL-terminated components, leaf first (HB_PATH_IS_FILENAME: one NUL-terminated name). */
struct hb_exec {
	struct hb_head head;
	hb_u64 start_ns;
	hb_u64 parent_start_ns;
	hb_u64 cgroup_id;
	hb_u32 pid;
	hb_u32 ppid;
	hb_u32 uid;
	hb_u32 gid;
	hb_u32 args_total; /* bytes of the argument area; args_len of them are in this record */
	hb_u32 args_len;
	hb_u32 path_len;
	hb_u32 reserved;
	char comm[HB_COMM];
	char parent_comm[HB_COMM];
};

/* More of the argument area of a preceding hb_exec; followed by the bytes. */
struct hb_args {
	struct hb_head head;
	hb_u64 start_ns;
	hb_u32 pid;
	hb_u32 offset;
};

struct hb_exit {
	struct hb_head head;
	hb_u64 start_ns;
	hb_u64 cgroup_id;
	hb_u32 pid;
	hb_u32 ppid;
	hb_u32 uid;
	hb_u32 status; /* as wait(2) gives it */
	char comm[HB_COMM];
};

/* HB_CONNECT comes before the kernel has chosen a source port: HB_CONNECTED of the same id tells it.
 * HB_ACCEPT has no process: pid, start_ns, uid, cgroup_id and comm are 0. Ports in host order,
 * IPv4 addresses in the first four bytes. */
struct hb_sock {
	struct hb_head head;
	hb_u64 start_ns;
	hb_u64 cgroup_id;
	hb_u64 id; /* the socket, while it lives */
	hb_u32 pid;
	hb_u32 ppid;
	hb_u32 uid;
	hb_u32 netns;
	hb_u16 family;
	hb_u16 protocol;
	hb_u16 src_port;
	hb_u16 dst_port;
	hb_u8 src[16];
	hb_u8 dst[16];
	char comm[HB_COMM];
};

struct hb_connected {
	struct hb_head head;
	hb_u64 id;
	hb_u32 src_port;
	hb_u32 reserved;
};

#endif
