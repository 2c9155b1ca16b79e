/* SPDX-License-Identifier: Apache-2.0
 *
 * A steady load for measuring the sensor: `load EXECS CONNECTS SECONDS`.
 * EXECS posix_spawn(/bin/true) and CONNECTS loopback connects per second, evenly in slots of 10 ms;
 * rates of 0 mean none. Prints what it really did, one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: load EXECS-PER-S CONNECTS-PER-S SECONDS\n");
		return 2;
	}
	long execs = atol(argv[1]), connects = atol(argv[2]);
	double seconds = atof(argv[3]), slot = 0.01;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (void *)&address, size) || listen(listener, 128) ||
	    getsockname(listener, (void *)&address, &size))
		die("listener");
	long did_exec = 0, did_connect = 0, late = 0;
	double exec_s = 0, connect_s = 0, start = now(), end = start + seconds;

	for (long n = 0; now() < end; n++) {
		long want_exec = (long)(execs * slot * (n + 1)), want_connect = (long)(connects * slot * (n + 1));
		double at = now();

		for (; did_exec < want_exec && now() < end; did_exec++) {
			char number[24];
			char *args[] = { "/bin/true", "--load", number, NULL };
			pid_t pid;
			int status;

			snprintf(number, sizeof(number), "%ld", did_exec);
			if (posix_spawn(&pid, args[0], NULL, NULL, args, environ))
				die("posix_spawn");
			if (waitpid(pid, &status, 0) != pid)
				die("waitpid");
		}
		exec_s += now() - at;
		at = now();
		for (; did_connect < want_connect && now() < end; did_connect++) {
			struct linger hard = { 1, 0 }; /* no TIME_WAIT: ports do not run out */
			int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

			if (client < 0 || connect(client, (void *)&address, size))
				die("connect");
			int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			if (server < 0)
				die("accept");
			setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
			close(client);
			close(server);
		}
		connect_s += now() - at;
		double rest = start + (n + 1) * slot - now();

		if (rest > 0)
			usleep((useconds_t)(rest * 1e6));
		else
			late++;
	}
	double wall = now() - start;
	struct rusage own, children;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	printf("{\"pid\": %d, \"port\": %d, \"execs\": %ld, \"connects\": %ld, \"wall_s\": %.3f, "
	       "\"exec_us\": %.1f, \"connect_us\": %.1f, \"late_slots\": %ld, \"own_cpu_s\": %.3f, "
	       "\"children_cpu_s\": %.3f}\n",
	       getpid(), ntohs(address.sin_port), did_exec, did_connect, wall,
	       did_exec ? exec_s / did_exec * 1e6 : 0, did_connect ? connect_s / did_connect * 1e6 : 0, late,
	       own.ru_utime.tv_sec + own.ru_stime.tv_sec + (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
	       children.ru_utime.tv_sec + children.ru_stime.tv_sec +
		       (children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e6);
	return 0;
}
