/*
 * The front door of an agent package: static, so that it runs where there is no libc, no shell and
 * no Python, or another one than we were built with. It finds the package by its own place, cleans
 * what the machine's environment says to loaders and interpreters, and starts the package's Python
 * by the package's loader.
 *
 * bin/hauberk         python -m hauberk.cli.main ...
 * bin/hauberk-launch  python -m hauberk.agent.launcher ...   (a link to it)
 * bin/python          python ...                             (a link to it)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static const char *const unwanted[] = {
	"LD_", "PYTHON", "OPENSSL_", "GCONV_PATH=", "GLIBC_TUNABLES=", "LOCPATH=", "NLSPATH=",
	"MALLOC_", NULL,
};

static void clean_environment(void)
{
	char **kept = environ;

	for (char **entry = environ; *entry; entry++) {
		int bad = 0;

		for (int i = 0; unwanted[i]; i++)
			bad |= !strncmp(*entry, unwanted[i], strlen(unwanted[i]));
		if (!bad)
			*kept++ = *entry;
	}
	*kept = NULL;
}

int main(int argc, char **argv)
{
	static char self[PATH_MAX], loader[PATH_MAX], libraries[PATH_MAX], program[PATH_MAX],
		python[PATH_MAX];
	const char *name = argc > 0 ? argv[0] : "hauberk";
	const char *module = "hauberk.cli.main";
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (size < 0 && !realpath((const char *)getauxval(AT_EXECFN), self)) {
		fprintf(stderr, "hauberk: cannot find its own place: %s\n", strerror(errno));
		return 127;
	}
	for (int i = 0; i < 2; i++) { /* ROOT/bin/hauberk -> ROOT */
		char *slash = strrchr(self, '/');

		if (!slash) {
			fprintf(stderr, "hauberk: %s is not in a package\n", self);
			return 127;
		}
		*slash = '\0';
	}
	if (strlen(self) > PATH_MAX - 64) {
		fprintf(stderr, "hauberk: its path is too long\n");
		return 127;
	}
	sprintf(loader, "%s/lib/hauberk", self);
	sprintf(libraries, "%s/lib", self);
	sprintf(program, "%s/lib/python", self);
	sprintf(python, "%s/bin/python", self);
	if (strrchr(name, '/'))
		name = strrchr(name, '/') + 1;
	if (!strcmp(name, "python"))
		module = NULL;
	else if (!strcmp(name, "hauberk-launch"))
		module = "hauberk.agent.launcher";

	char **out = calloc((size_t)argc + 16, sizeof(*out));
	int n = 0;

	if (!out)
		return 127;
	out[n++] = loader;
	out[n++] = "--library-path";
	out[n++] = libraries;
	out[n++] = "--argv0";
	out[n++] = python;
	out[n++] = program;
	out[n++] = "-I";
	out[n++] = "-S";
	out[n++] = "-B";
	out[n++] = "-X";
	out[n++] = "utf8";
	if (module) {
		out[n++] = "-m";
		out[n++] = (char *)module;
	}
	for (int i = 1; i < argc; i++)
		out[n++] = argv[i];
	clean_environment();
	execv(loader, out);
	fprintf(stderr, "hauberk: %s: %s; install the package anew\n", loader, strerror(errno));
	return 127;
}
