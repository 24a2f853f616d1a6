/* Files as a load: makes trees and changes in them as fast as the filesystem takes them, and prints
 * how many operations that were and how long they took, as one line of JSON.
 *
 *   load_files directories ROOT N    N directories beneath ROOT, ten in each
 *   load_files files ROOT N          N empty files, a hundred in a directory
 *   load_files places ROOT           a hundred directories, for:
 *   load_files events ROOT N         N empty files in them by mknod: one operation, one event each
 *   load_files touches ROOT N        N empty files in them, opened and closed, the way of touch
 *   load_files writes ROOT N         N small files in them, written and closed
 *   load_files burst ROOT N          about N operations: packages of sixteen small files are
 *                                    unpacked, half of the files and each package renamed, three of
 *                                    four removed again, the way of tar, mv and rm -r
 *
 * ROOT exists. */
#include "bare.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { FANOUT = 10, PER_DIRECTORY = 100, PLACES = 100, FILES = 16, GROUP = 32, CONTENT = 200 };

static const char *root;
static char path[PATH_MAX], other[PATH_MAX], content[CONTENT];
static uint64_t operations;

__attribute__((format(printf, 2, 3))) static const char *put(char *to, const char *format, ...)
{
	va_list arguments;
	int len = snprintf(to, PATH_MAX, "%s/", root);

	va_start(arguments, format);
	vsnprintf(to + len, (size_t)(PATH_MAX - len), format, arguments);
	va_end(arguments);
	return to;
}

static void done(int result)
{
	bare_check(result, path);
	operations++;
}

/* The nth directory lies in the (n - 1) / FANOUT th. */
static void put_nth(char *to, unsigned n)
{
	char name[16];

	if (n == 0)
		return;
	put_nth(to, (n - 1) / FANOUT);
	snprintf(name, sizeof name, "/d%u", (n - 1) % FANOUT);
	strcat(to, name);
}

static void directories(unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		strcpy(path, root);
		put_nth(path, i);
		done(mkdir(path, 0755));
	}
}

static void empty_file(void)
{
	done(mknod(path, S_IFREG | 0644, 0));
}

static void small_file(size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	bare_check(fd, path);
	if (len > 0)
		bare_check((int)write(fd, content, len), path);
	done(close(fd));
}

static void files(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (i % PER_DIRECTORY == 0) {
			put(path, "d%u", i / PER_DIRECTORY);
			bare_check(mkdir(path, 0755), path);
		}
		put(path, "d%u/file-%u", i / PER_DIRECTORY, i);
		empty_file();
	}
}

static void places(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		put(path, "place%02u", i);
		done(mkdir(path, 0755));
	}
}

static void events(unsigned count, bool opened, size_t bytes)
{
	for (unsigned i = 0; i < count; i++) {
		put(path, "place%02u/event-%07u", i % PLACES, i);
		if (opened)
			small_file(bytes);
		else
			empty_file();
	}
}

/* The burst. */

static void unpack(unsigned package)
{
	if (package % GROUP == 0) {
		put(path, "g%u", package / GROUP);
		done(mkdir(path, 0755));
	}
	put(path, "g%u/p%u", package / GROUP, package);
	done(mkdir(path, 0755));
	for (unsigned i = 0; i < FILES; i++) {
		put(path, "g%u/p%u/f%u", package / GROUP, package, i);
		small_file(CONTENT - i);
	}
}

static void rename_all(unsigned package)
{
	for (unsigned i = 0; i < FILES; i += 2) {
		put(path, "g%u/p%u/f%u", package / GROUP, package, i);
		put(other, "g%u/p%u/renamed%u", package / GROUP, package, i);
		done(rename(path, other));
	}
	put(path, "g%u/p%u", package / GROUP, package);
	put(other, "g%u/q%u", package / GROUP, package);
	done(rename(path, other));
}

static void remove_all(unsigned package)
{
	for (unsigned i = 0; i < FILES; i++) {
		put(path, "g%u/q%u/%s%u", package / GROUP, package, i % 2 ? "f" : "renamed", i);
		done(unlink(path));
	}
	put(path, "g%u/q%u", package / GROUP, package);
	done(rmdir(path));
}

static void burst(unsigned count)
{
	/* Of four packages each is unpacked and renamed, three are removed. */
	unsigned packages = count / ((4 * (1 + FILES + FILES / 2 + 1) + 3 * (FILES + 1)) / 4);

	for (unsigned i = 0; i < packages; i++)
		unpack(i);
	for (unsigned i = 0; i < packages; i++)
		rename_all(i);
	for (unsigned i = 0; i < packages; i++)
		if (i % 4)
			remove_all(i);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	const char *what = argc > 2 ? argv[1] : "";
	uint64_t began_ns = bare_now_ns();

	root = argv[2];
	memset(content, 'x', sizeof content);
	if (strcmp(what, "directories") == 0) {
		directories(count);
	} else if (strcmp(what, "files") == 0) {
		files(count);
	} else if (strcmp(what, "places") == 0) {
		places();
	} else if (strcmp(what, "events") == 0) {
		events(count, false, 0);
	} else if (strcmp(what, "touches") == 0) {
		events(count, true, 0);
	} else if (strcmp(what, "writes") == 0) {
		events(count, true, CONTENT);
	} else if (strcmp(what, "burst") == 0) {
		burst(count);
	} else {
		fprintf(stderr,
			"usage: load_files directories|files|places|events|touches|writes|burst "
			"ROOT [N]\n");
		return 2;
	}
	printf("{\"operations\":%llu,\"ns\":%llu}\n", (unsigned long long)operations,
	       (unsigned long long)(bare_now_ns() - began_ns));
	return 0;
}
