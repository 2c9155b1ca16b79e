/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads the sensor's programs and drains their ring in batches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#define HB_USER
#include "abi.h"
#include "reader.h"

#define MAX_PROGRAMS 16
#define MAX_RECORD (sizeof(struct hb_exec) + 2 * HB_PATH_CAP + HB_CHUNK)

struct hb_sensor {
	struct bpf_object *object;
	struct bpf_link *links[MAX_PROGRAMS];
	struct bpf_program *programs[MAX_PROGRAMS];
	int count;
	struct ring_buffer *ring;
	int epoll;
	int lost_fd;
	int cpus;
	uint64_t *per_cpu;
	char *out;
	size_t size, used;
};

/* The last lines that libbpf said, for the reason given to the caller. */
static __thread char said[1024];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	/* Keep the first: it names the cause, later ones are its consequences. */
	if (strlen(said) + strlen(line) < sizeof(said))
		strcat(said, line);
	return 0;
}

static int take(void *context, void *data, size_t size)
{
	hb_sensor *s = context;
	size_t padded = (size + 7) & ~(size_t)7;

	if (padded > s->size - s->used)
		return -EMSGSIZE; /* cannot be: the check below leaves room for the largest */
	memcpy(s->out + s->used, data, size);
	memset(s->out + s->used + size, 0, padded - size);
	s->used += padded;
	return s->size - s->used < MAX_RECORD ? -ENOBUFS : 0;
}

static int explain(char *why, size_t size, const char *what, int error)
{
	snprintf(why, size, "%s: %s%s%s", what, strerror(error < 0 ? -error : error),
		 *said ? "; " : "", said);
	for (char *c = why; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return -1;
}

static int set_up(hb_sensor *s, const char *path, uint32_t ring_bytes, uint64_t wake_bytes,
		  char *why, size_t size)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int error;

	s->object = bpf_object__open_file(path, NULL);
	if (!s->object)
		return explain(why, size, path, errno);
	map = bpf_object__find_map_by_name(s->object, "ring");
	if (map && ring_bytes) {
		error = bpf_map__set_max_entries(map, ring_bytes);
		if (error)
			return explain(why, size, "ring size", error);
	}
	bpf_object__for_each_map(map, s->object) {
		size_t have = 0;
		uint64_t *initial;

		if (!strstr(bpf_map__name(map), ".rodata") || !wake_bytes)
			continue;
		initial = (uint64_t *)bpf_map__initial_value(map, &have);
		if (initial && have == sizeof(*initial))
			*initial = wake_bytes;
	}
	error = bpf_object__load(s->object);
	if (error)
		return explain(why, size, "load", error);
	bpf_object__for_each_program(program, s->object) {
		if (s->count == MAX_PROGRAMS)
			return explain(why, size, "too many programs", E2BIG);
		s->links[s->count] = bpf_program__attach(program);
		if (!s->links[s->count])
			return explain(why, size, bpf_program__name(program), errno);
		s->programs[s->count++] = program;
	}
	map = bpf_object__find_map_by_name(s->object, "ring");
	if (!map)
		return 0; /* a probe: attaching was all that was asked */
	s->ring = ring_buffer__new(bpf_map__fd(map), take, s, NULL);
	if (!s->ring)
		return explain(why, size, "ring", errno);
	/* Edge-triggered: only a wake-up by the kernel side ends the wait, not mere data. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, bpf_map__fd(map), &event))
		return explain(why, size, "epoll", errno);
	map = bpf_object__find_map_by_name(s->object, "lost");
	s->lost_fd = map ? bpf_map__fd(map) : -1;
	s->cpus = libbpf_num_possible_cpus();
	if (s->cpus < 1 || s->lost_fd < 0)
		return explain(why, size, "lost counters", ENOENT);
	s->per_cpu = calloc(s->cpus, sizeof(*s->per_cpu));
	return s->per_cpu ? 0 : explain(why, size, "lost counters", ENOMEM);
}

hb_sensor *hb_open(const char *path, uint32_t ring_bytes, uint64_t wake_bytes, char *why,
		   size_t why_size)
{
	hb_sensor *s = calloc(1, sizeof(*s));

	said[0] = 0;
	if (!s) {
		explain(why, why_size, "memory", ENOMEM);
		return NULL;
	}
	s->epoll = s->lost_fd = -1;
	libbpf_set_print(listen_to_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (set_up(s, path, ring_bytes, wake_bytes, why, why_size)) {
		hb_close(s);
		s = NULL;
	}
	/* Relocating takes the kernel's whole BTF: some 15 MB that nothing needs any more. */
	malloc_trim(0);
	return s;
}

int hb_wait(hb_sensor *s, int timeout_ms)
{
	struct epoll_event event;
	int n = epoll_wait(s->epoll, &event, 1, timeout_ms);

	return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

long hb_drain(hb_sensor *s, char *out, size_t size, int *more)
{
	int n;

	*more = 0;
	if (size < MAX_RECORD)
		return -EINVAL;
	s->out = out;
	s->size = size;
	s->used = 0;
	n = ring_buffer__consume(s->ring);
	s->out = NULL;
	if (n == -ENOBUFS)
		*more = 1;
	else if (n < 0)
		return n;
	return (long)s->used;
}

static int info_of(hb_sensor *s, int index, struct bpf_prog_info *info)
{
	__u32 size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (index < 0 || index >= s->count)
		return -ENOENT;
	return bpf_obj_get_info_by_fd(bpf_program__fd(s->programs[index]), info, &size);
}

int hb_lost(hb_sensor *s, uint64_t *out)
{
	struct bpf_prog_info info;

	memset(out, 0, HB_KINDS * sizeof(*out));
	for (uint32_t kind = 1; kind < HB_KINDS; kind++) {
		if (bpf_map_lookup_elem(s->lost_fd, &kind, s->per_cpu))
			return -errno;
		for (int cpu = 0; cpu < s->cpus; cpu++)
			out[kind] += s->per_cpu[cpu];
	}
	for (int i = 0; i < s->count; i++) {
		int error = info_of(s, i, &info);

		if (error)
			return error;
		out[0] += info.recursion_misses;
	}
	return 0;
}

const char *hb_program(hb_sensor *s, int index)
{
	return index >= 0 && index < s->count ? bpf_program__section_name(s->programs[index]) : NULL;
}

int hb_cost(hb_sensor *s, int index, uint64_t *runs, uint64_t *ns)
{
	struct bpf_prog_info info;
	int error = info_of(s, index, &info);

	*runs = info.run_cnt;
	*ns = info.run_time_ns;
	return error;
}

void hb_close(hb_sensor *s)
{
	if (!s)
		return;
	if (s->epoll >= 0)
		close(s->epoll);
	ring_buffer__free(s->ring);
	for (int i = 0; i < s->count; i++)
		bpf_link__destroy(s->links[i]);
	bpf_object__close(s->object);
	free(s->per_cpu);
	free(s);
}

int hb_enable_stats(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

int hb_abi_version(void)
{
	return HB_ABI_VERSION;
}

int hb_kinds(void)
{
	return HB_KINDS;
}

size_t hb_max_record(void)
{
	return MAX_RECORD;
}

#define SIZE(type) { #type, sizeof(struct hb_##type) }
#define AT(type, field) { #type "." #field, offsetof(struct hb_##type, field) }

static const struct {
	const char *name;
	long value;
} layout[] = {
	SIZE(head), AT(head, kind), AT(head, flags), AT(head, size), AT(head, mono_ns),
	SIZE(exec), AT(exec, start_ns), AT(exec, parent_start_ns), AT(exec, cgroup_id),
	AT(exec, pid), AT(exec, ppid), AT(exec, uid), AT(exec, gid), AT(exec, args_total),
	AT(exec, args_len), AT(exec, path_len), AT(exec, reserved), AT(exec, comm),
	AT(exec, parent_comm),
	SIZE(args), AT(args, start_ns), AT(args, pid), AT(args, offset),
	SIZE(exit), AT(exit, start_ns), AT(exit, cgroup_id), AT(exit, pid), AT(exit, ppid),
	AT(exit, uid), AT(exit, status), AT(exit, comm),
	SIZE(sock), AT(sock, start_ns), AT(sock, cgroup_id), AT(sock, id), AT(sock, pid), AT(sock, ppid),
	AT(sock, uid), AT(sock, netns), AT(sock, family), AT(sock, protocol), AT(sock, src_port),
	AT(sock, dst_port), AT(sock, src), AT(sock, dst), AT(sock, comm),
	SIZE(connected), AT(connected, id), AT(connected, src_port), AT(connected, reserved),
};

long hb_layout(const char *name)
{
	for (size_t i = 0; i < sizeof(layout) / sizeof(*layout); i++)
		if (!strcmp(layout[i].name, name))
			return layout[i].value;
	return -1;
}
