/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader that Python sees (through cffi): one handle, batches of records in a byte buffer.
 * Plain declarations only: the build gives the part between the marks to cffi.
 */
#ifndef HAUBERK_READER_H
#define HAUBERK_READER_H
#include <stddef.h>
#include <stdint.h>
/* cffi: begin */
typedef struct hb_sensor hb_sensor;

/* Load `object` and attach every program in it. A ring of `ring_bytes` (power of two, multiple of
 * the page size) and a wake-up once `wake_bytes` are pending; 0 keeps what the object says.
 * NULL on failure, with the reason in `why`. */
hb_sensor *hb_open(const char *object, uint32_t ring_bytes, uint64_t wake_bytes, char *why,
		   size_t why_size);

/* Wait up to `timeout_ms` for a wake-up (records that pend do not end the wait).
 * 1 woken, 0 timed out, negative errno. */
int hb_wait(hb_sensor *s, int timeout_ms);

/* Copy whole records, each padded to 8 bytes, into `out`; stops before the next might not fit.
 * Returns bytes, or negative errno. *more is 1 when records may be left. */
long hb_drain(hb_sensor *s, char *out, size_t size, int *more);

/* Lost records by kind since the start; `out` has hb_kinds() places. Runs that the kernel skipped
 * because a program was already active on the CPU count at place 0. 0 or negative errno. */
int hb_lost(hb_sensor *s, uint64_t *out);

/* Name of attached program `index`, NULL past the last. */
const char *hb_program(hb_sensor *s, int index);

/* Kernel's own count: runs and nanoseconds of program `index` (needs BPF statistics on). */
int hb_cost(hb_sensor *s, int index, uint64_t *runs, uint64_t *ns);

void hb_close(hb_sensor *s);

/* Switch the kernel's BPF statistics on for as long as the descriptor is open. fd or -errno. */
int hb_enable_stats(void);

int hb_abi_version(void);
int hb_kinds(void);
size_t hb_max_record(void);
/* Sizes and offsets as the compiler laid them out: "exec.pid" -> offset, "exec" -> size. -1: none. */
long hb_layout(const char *name);
/* cffi: end */
#endif
