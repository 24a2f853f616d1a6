/* Who holds a port: /proc/net/tcp, tcp6, udp and udp6 give the socket's inode, /proc/PID/fd whose
 * it is (proc(5)). Limit: another user's descriptors show only to root; then the pid stays unknown.
 *
 *   sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
 *    0: 0100007F:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 24631 ... */
#include "kernel/holder.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATE_LISTEN = 0x0a, STATE_UDP_BOUND = 0x07 };

struct row {
	struct address local;
	unsigned state;
	uid_t user;
	uint64_t inode;
};

/* Addresses stand as 32-bit words in this machine's order. */
static bool parse_address(const char *hex, struct address *a)
{
	size_t digits = strlen(hex);

	*a = (struct address){.family = digits == 8 ? ADDRESS_V4 : ADDRESS_V6};
	if (digits != 8 && digits != 32)
		return false;
	for (size_t i = 0; i < digits / 8; i++) {
		char word[9];
		uint32_t value;

		memcpy(word, hex + 8 * i, 8);
		word[8] = '\0';
		value = (uint32_t)strtoul(word, NULL, 16);
		memcpy(a->ip + 4 * i, &value, 4);
	}
	return true;
}

static bool parse_row(const char *line, struct row *row)
{
	char hex[33];
	unsigned port, user;

	if (sscanf(line,
		   " %*d: %32[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*x %2x %*x:%*x %*x:%*x "
		   "%*x %u %*u %" SCNu64,
		   hex, &port, &row->state, &user, &row->inode) != 5)
		return false;
	if (!parse_address(hex, &row->local))
		return false;
	row->local.port = (uint16_t)port;
	row->user = user;
	return true;
}

/* Two sockets on a port exclude each other when one is for every address or both for the same; a
 * v6 socket for every address may take v4 too. */
static bool excludes(const struct address *held, const struct address *wanted)
{
	if (wanted->family == ADDRESS_NONE)
		return true;
	if (held->family != wanted->family)
		return held->family == ADDRESS_V6 && address_is_any(held);
	return address_is_any(held) || address_is_any(wanted) || address_equal_ip(held, wanted);
}

static bool find_socket(const char *proc, const char *table, const struct address *address,
			uint16_t port, unsigned state, struct row *row)
{
	char path[PATH_MAX], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/net/%s", proc, table);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = parse_row(line, row) && row->local.port == port && row->state == state &&
			excludes(&row->local, address);
	fclose(f);
	return found;
}

/* Whether process `pid` has a descriptor on `socket` ("socket:[24631]"). */
static bool has_socket(const char *proc, const char *pid, const char *socket)
{
	char path[PATH_MAX], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s/fd", proc, pid);
	d = opendir(path);
	if (d == NULL)
		return false;
	while (!found && (entry = readdir(d)) != NULL) {
		ssize_t len = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);

		target[len < 0 ? 0 : len] = '\0';
		found = strcmp(target, socket) == 0;
	}
	closedir(d);
	return found;
}

static void read_program(const char *proc, const char *pid, char *program)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/comm", proc, pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(program, HOLDER_PROGRAM_BYTES, f) != NULL)
		program[strcspn(program, "\n")] = '\0';
	fclose(f);
}

static void find_process(const char *proc, struct holder *holder)
{
	char socket[64];
	struct dirent *entry;
	DIR *d = opendir(proc);

	if (d == NULL)
		return;
	snprintf(socket, sizeof(socket), "socket:[%" PRIu64 "]", holder->inode);
	while (holder->pid == 0 && (entry = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !has_socket(proc, entry->d_name, socket))
			continue;
		holder->pid = (pid_t)strtol(entry->d_name, NULL, 10);
		read_program(proc, entry->d_name, holder->program);
	}
	closedir(d);
}

int holder_find(const char *proc, const struct address *address, uint16_t port, bool udp,
		struct holder *holder)
{
	unsigned state = udp ? STATE_UDP_BOUND : STATE_LISTEN;
	struct row row = {0};

	*holder = (struct holder){0};
	if (!find_socket(proc, udp ? "udp" : "tcp", address, port, state, &row) &&
	    !find_socket(proc, udp ? "udp6" : "tcp6", address, port, state, &row))
		return ERR_NO_FILE;
	holder->local = row.local;
	holder->inode = row.inode;
	holder->user = row.user;
	find_process(proc, holder);
	return 0;
}
