/* SPDX-License-Identifier: Apache-2.0
 *
 * First process of a throw-away virtual machine: loads the sensor's programs on that kernel, does
 * one exec with 300 kB of arguments and one loopback connection, prints what came, powers off.
 * Built statically together with reader.c by tests/integration/test_sensor_vm.py.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#define HB_USER
#include "../abi.h"
#include "../reader.h"

#define WORD 100000

static char why[4096];

static void lo_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(fd, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static void act(void)
{
	static char words[3][WORD];
	char *args[] = { "/init", "child", words[0], words[1], words[2], NULL };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	int status;

	for (int i = 0; i < 3; i++)
		memset(words[i], 'a' + i, WORD - 1);
	pid_t child = fork();

	if (!child) {
		execv(args[0], args);
		_exit(1);
	}
	waitpid(child, &status, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 5) ||
	    connect(client, (void *)&address, sizeof(address)))
		puts("FAILED: connect");
}

static void print(const struct hb_head *head)
{
	const struct hb_exec *exec = (void *)head;
	const struct hb_exit *end = (void *)head;
	const struct hb_sock *sock = (void *)head;
	const struct hb_connected *connected = (void *)head;

	switch (head->kind) {
	case HB_EXEC:
		printf("exec path=%s args=%u comm=%s parent=%u/%s\n", (const char *)(exec + 1),
		       exec->args_total, exec->comm, exec->ppid, exec->parent_comm);
		break;
	case HB_ARGS:
		printf("args bytes=%zu flags=%u\n", head->size - sizeof(struct hb_args), head->flags);
		break;
	case HB_EXIT:
		printf("exit status=%u parent=%u\n", end->status, end->ppid);
		break;
	case HB_CONNECTED:
		printf("connected port=%s\n", connected->src_port ? "known" : "0");
		break;
	default:
		printf("sock kind=%u pid=%u ports=%u,%u from=%u.%u\n", head->kind, sock->pid,
		       head->kind == HB_CONNECT ? sock->dst_port : sock->src_port, sock->protocol,
		       sock->src[0], sock->src[3]);
	}
}

int main(int argc, char **argv)
{
	static char buffer[1 << 20];
	uint64_t lost[HB_KINDS];
	int more;

	(void)argv;
	if (argc > 1)
		return 7;
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	hb_sensor *lsm = hb_open("/lsm_probe.bpf.o", 0, 0, why, sizeof(why));

	printf("lsm %s\n", lsm ? "attached" : why);
	hb_close(lsm);
	hb_sensor *sensor = hb_open("/sensor.bpf.o", 1 << 20, 0, why, sizeof(why));

	if (sensor) {
		lo_up();
		act();
		long got = hb_drain(sensor, buffer, sizeof(buffer), &more);

		for (long at = 0; at < got;) {
			struct hb_head *head = (void *)(buffer + at);

			print(head);
			at += (head->size + 7) & ~7u;
		}
		int rc = hb_lost(sensor, lost);

		printf("lost rc=%d skipped=%llu\n", rc, (unsigned long long)lost[0]);
		hb_close(sensor);
	} else {
		printf("FAILED: %s\n", why);
	}
	puts("done");
	fflush(stdout);
	sleep(1);
	reboot(RB_POWER_OFF);
}
